"""A look at a lock does not keep anybody from taking it."""

from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path

import pytest

from clients.files.locks import AlreadyLocked, is_held, locked


def test_lock_is_held_while_its_block_lasts(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path), "nobody has made it"
    with locked(path):
        assert is_held(path)
        with pytest.raises(AlreadyLocked), locked(path):
            pass
    assert not is_held(path)


def test_look_leaves_the_holders_number(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path):
        number = path.read_text()
        assert is_held(path)
    assert not is_held(path)
    assert path.read_text() == number


def test_site_comes_up_although_somebody_looks_at_that_moment(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    looks = threading.Event()

    def look() -> None:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            looks.set()
            time.sleep(0.1)

    thread = threading.Thread(target=look)
    thread.start()
    looks.wait()
    with locked(path):
        assert is_held(path)
    thread.join()
