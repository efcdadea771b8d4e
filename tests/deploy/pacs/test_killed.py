"""A pull that is killed, as a process, goes on where it was, and fetches nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

from deploy.pacs.fetching import FETCHED
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


@pytest.mark.parametrize(
    "after", [5, *(pytest.param(each, marks=pytest.mark.slow) for each in (0, 1, 3, 8, 11))]
)
def test_killed_pull_goes_on_and_fetches_nothing_twice(
    pacs: MadeUpPacs, tmp_path: Path, after: int
) -> None:
    """The server holds back the rest of some images, and the pull is killed while it waits."""
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
        os.kill(process.pid, signal.SIGKILL)
    released.set()
    whole = {path.name: path.stat().st_ino for path in folder.rglob("*.dcm")}
    assert len(whole) <= after and list(folder.rglob(f".*{FETCHED}.*"))
    pacs.answer = lambda handler: False
    asked = len(pacs.images_asked)
    ended = run(command, site)
    assert ended.returncode == 0, ended.stderr
    assert content(folder) == expected(pacs.files)
    # Only what was under way was asked for again, and what was whole is the same file.
    again = [path for path, times in Counter(pacs.images_asked).items() if times > 1]
    assert set(again) <= set(held) and len(held) <= AT_ONCE
    assert len(pacs.images_asked) - asked == len(pacs.files) - asked + len(held)
    assert {
        path.name: path.stat().st_ino for path in folder.rglob("*.dcm")
    }.items() >= whole.items()
    assert not list(folder.rglob(f".*{FETCHED}.*"))
