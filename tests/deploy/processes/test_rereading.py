"""A program is asked to end when its file is another, once for each change."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.processes.rereading import LOOK_SECONDS, KeptCurrent, Rereading


class Clock:
    """Time as the test has it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def later(self) -> None:
        """Let the time to look again come."""
        self.now += LOOK_SECONDS + 1


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "import time; time.sleep(100_000)"]
    with subprocess.Popen(command) as process:
        yield process
        process.kill()


def test_program_ends_once_for_each_new_file(
    tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    file, clock = tmp_path / "site.crt", Clock()
    file.write_text("one")
    kept = KeptCurrent(Rereading(program="edge", file=file), clock)
    assert not kept.tend({"edge": child})
    (tmp_path / "new").write_text("two")
    (tmp_path / "new").replace(file)
    assert not kept.tend({"edge": child}), "it is not time to look yet"
    clock.later()
    assert kept.tend({"edge": child})
    assert child.wait() != 0
    clock.later()
    assert not kept.tend({"edge": child}), "the next one has read the new file"


def test_missing_file_or_program_that_is_about_to_start_ends_nothing(
    tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    file, clock = tmp_path / "site.crt", Clock()
    file.write_text("one")
    kept = KeptCurrent(Rereading(program="edge", file=file), clock)
    file.unlink()
    assert not kept.tend({"edge": child})
    file.write_text("three")
    clock.later()
    assert not kept.tend({}), "it is not running, and reads the file when it starts"
    clock.later()
    assert not kept.tend({"edge": child})
    assert not KeptCurrent(None, clock).tend({"edge": child})
    assert child.poll() is None
