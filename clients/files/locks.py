"""Locks between processes.  A lock goes with its process, so a crash leaves nothing behind."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clients.files.durable import not_writable


class AlreadyLocked(Exception):
    """Another process has the lock; ``holder`` is its id."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        super().__init__(f"locked by process {holder}")


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold the lock ``path``; ``wait`` until it is free, or raise :class:`AlreadyLocked`.

    Raises :class:`strategies.errors.RunFolderError` when the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise not_writable(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        except BlockingIOError as error:
            file.seek(0)
            raise AlreadyLocked(file.read().strip() or "unknown") from error
        except OSError as error:
            raise not_writable(path, error) from error
        yield
