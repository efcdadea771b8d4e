"""Locks between processes; the operating system releases them when a process ends or dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from clients.files.durable import not_writable

LOOK_SECONDS = 1.0
"""How long another process may look at a lock (:func:`is_held`), however busy the machine is."""


class AlreadyLocked(Exception):
    """Another process holds the lock; ``holder`` is its process id."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        super().__init__(f"locked by process {holder}")


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold the lock file ``path`` inside the block.

    If another process has it, wait for it (``wait``), or raise :class:`AlreadyLocked` after
    :data:`LOOK_SECONDS`. Raises :class:`strategies.errors.RunFolderError` if the file cannot be
    made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")  # "w" would erase the holder's id
    except OSError as error:
        raise not_writable(path, error) from error
    with file:
        try:
            _take(file, wait)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        except BlockingIOError as error:
            file.seek(0)
            raise AlreadyLocked(file.read().strip() or "unknown") from error
        except OSError as error:
            raise not_writable(path, error) from error
        yield  # closing the file releases the lock; the file stays, as deleting it would race


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock file ``path``.

    Raises :class:`strategies.errors.RunFolderError` if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        raise not_writable(path, error) from error


def _take(file: TextIO, wait: bool) -> None:
    until = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            return
        except BlockingIOError:
            # Somebody may only look whether it is held: a site must come up all the same.
            if time.monotonic() >= until:
                raise
            time.sleep(0.02)
