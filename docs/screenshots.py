"""Take the pictures of docs/tutorial/federation.md: ``python -m docs.screenshots``.

It gives the tutorial's commands in an empty folder, and photographs what a browser then shows.  It
needs nginx and chromium, and takes some minutes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.deploy.page.browser import Tab, browser_tab, find_browser

ASSETS = Path(__file__).parent / "assets"
SRFLM = Path(sys.executable).with_name("srflm")
SITE = Path("poc/sites/aster")
WIDTH, HEIGHT = 1200, 860  # CSS pixels


def srflm(*words: str) -> str:
    """Give a command in the working folder, and return what it has printed."""
    done = subprocess.run([SRFLM, *words], capture_output=True, text=True, check=False)
    if done.returncode > 1:  # 1: with warnings
        sys.exit(f"srflm {' '.join(words)}:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def new_tab(name: str) -> Iterator[Tab]:
    """Give a tab; what it shows at the end of the block is the picture ``name``."""
    program = find_browser()
    assert program is not None
    with browser_tab(program) as tab:  # a new one each time: one that is idle loses its connection
        tab.look(WIDTH, HEIGHT)
        yield tab
        tab.photograph(ASSETS / name, whole=False)


def photograph_page(name: str, seen: str) -> None:
    """Photograph the page of the site once it shows the text ``seen``."""
    entrance = srflm("page", str(SITE)).split()[0]
    with new_tab(name) as tab:
        tab.open(entrance)
        tab.wait_for("document.getElementById('link').textContent === 'live'")
        tab.wait_for(f"document.body.innerText.includes({json.dumps(seen)})")


def photograph_file(name: str, file: Path) -> None:
    """Photograph a page that lies on disk."""
    with new_tab(name) as tab:
        tab.call("Page.navigate", url=file.resolve().as_uri())
        tab.wait_for("document.readyState === 'complete' && location.protocol === 'file:'")


def take() -> None:
    """Follow the tutorial, and photograph on the way."""
    srflm("poc", "up", "--vendors", "3")
    try:
        srflm("run", str(SITE), "--rounds", "2")
        photograph_page("tutorial-two-terms.png", "All 2 records")
        up = json.loads(Path("poc/sites/cygnus/run/up.json").read_text(encoding="utf-8"))
        os.kill(up["supervisor"], signal.SIGKILL)
        srflm("run", str(SITE), "--rounds", "2")
        photograph_page("tutorial-one-away.png", "All 4 records")
        srflm("up", "poc/sites/cygnus", "--detach")
        srflm("run", str(SITE), "--rounds", "1")
        srflm("doctor", str(SITE), "--html", "doctor.html")
        photograph_file("tutorial-doctor.png", Path("doctor.html"))
        srflm("export", str(SITE), "--out", "exported")
        report = next(Path("exported").rglob("report.html"))
        photograph_file("tutorial-report.png", report)
    finally:
        srflm("poc", "down", "--delete")


def main() -> int:
    """Take all pictures."""
    if find_browser() is None:
        print("no program chromium: sudo apt-get install chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        take()
        os.chdir("/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
