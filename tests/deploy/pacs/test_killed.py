"""A pull that is killed, as a process, goes on where it was, and fetches nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

from deploy.pacs.fetching import FETCHED, SUFFIX, name_of
from tests.deploy.pacs.made_up_pacs import MadeUpPacs, in_parts
from tests.deploy.pacs.pulls import content, expected
from tests.support.commands import SRFLM, run
from tests.support.waiting import PATIENCE_SECONDS, wait_until

AT_ONCE = 2


def site_of(pacs: MadeUpPacs, folder: Path) -> Path:
    (folder / "query.toml").write_text('modality = ["MR"]\n')
    table = f'address = "{pacs.address}"\nat-once = {AT_ONCE}\n'
    (folder / "site.toml").write_text(f'vendor = "a"\n[pacs]\n{table}')
    return folder


SLOWER = [
    pytest.param(each, signal.SIGKILL, marks=pytest.mark.slow, id=f"killed-{each}")
    for each in (0, 1, 3, 8, 11)
]
INTERRUPTED = pytest.param(4, signal.SIGINT, marks=pytest.mark.slow, id="interrupted-4")


@pytest.mark.parametrize(
    ("after", "end"), [pytest.param(5, signal.SIGKILL, id="killed-5"), *SLOWER, INTERRUPTED]
)
def test_killed_pull_goes_on_and_fetches_nothing_twice(
    pacs: MadeUpPacs, tmp_path: Path, after: int, end: signal.Signals
) -> None:
    """The server holds back the rest of some images, and the pull is ended while it waits."""
    site, folder = site_of(pacs, tmp_path), tmp_path / "images"
    released, held, count, lock = threading.Event(), [], [0], threading.Lock()

    def answer(handler) -> bool:
        if "/instances/" not in handler.path:
            return False
        with lock:
            count[0] += 1
            if count[0] <= after:
                return False
        held.append(handler.path)
        handler.close_connection = True
        body, kind = in_parts(pacs.files[tuple(handler.path.split("/")[3::2])])
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2])
        released.wait(PATIENCE_SECONDS)
        return True

    pacs.answer = answer
    command = [SRFLM, "data", "pull", "query.toml", folder, "--site", site]
    with subprocess.Popen(command, cwd=site, start_new_session=True) as process:
        wait_until(lambda: held and list(folder.rglob(f".*{FETCHED}.*")), "no image is under way")
        os.kill(process.pid, end)
        process.wait(PATIENCE_SECONDS)  # though the server still holds the images back
    released.set()
    whole = {
        path.stem: path.stat().st_ino
        for suffix in (SUFFIX, FETCHED)
        for path in folder.rglob(f"[!.]*{suffix}")
    }
    assert len(whole) <= after
    pacs.answer = lambda handler: False
    asked = len(pacs.images_asked)
    ended = run(command, site)
    assert ended.returncode == 0, ended.stderr
    assert content(folder) == expected(pacs.files)
    # All that was not whole was asked for, and nothing else; what was whole is the same file.
    assert len(pacs.images_asked) - asked == len(pacs.files) - len(whole)
    times = Counter(name_of(path.rpartition("/")[2]) for path in pacs.images_asked)
    again = {name for name, count in times.items() if count > 1}
    assert again.isdisjoint(whole) and len(again) <= AT_ONCE
    after_all = {path.stem: path.stat().st_ino for path in folder.rglob(f"*{SUFFIX}")}
    assert after_all.items() >= whole.items()
    assert not list(folder.rglob(f"*{FETCHED}*"))
