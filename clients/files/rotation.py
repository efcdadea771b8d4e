"""Logs that never grow for ever: a large file becomes ``<name>.1``, and ``<name>.3`` is the oldest.

Writers that open a log for every line (:mod:`clients.files.event_log`) rename it.  A program that
keeps its log open is not disturbed: the file is copied and emptied.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final

from clients.files.lines import complete_lines, size_of

MOST_BYTES: Final = 16 * 2**20
"""A log that has more is rotated."""
OLD_FILES: Final = 3


def old_file(path: Path, number: int) -> Path:
    """Return the path of the old file ``number`` of a log; 1 is the newest."""
    return path.with_name(f"{path.name}.{number}")


def with_old_files(path: Path) -> list[Path]:
    """Return the old files of a log and the log itself, the oldest first; missing ones too."""
    return [*(old_file(path, number) for number in range(OLD_FILES, 0, -1)), path]


def is_large(path: Path, most: int | None = None) -> bool:
    """Return whether a log has more than ``most`` bytes, by default ``MOST_BYTES``."""
    return size_of(path) > (MOST_BYTES if most is None else most)


def all_lines(path: Path) -> Iterator[bytes]:
    """Yield all complete lines of a log, those of its old files first."""
    for file in with_old_files(path):
        yield from complete_lines(file)


def newest_lines(path: Path, most: int) -> list[bytes]:
    """Return the lines in the last ``most`` bytes of a log and its old files, the oldest first.

    The first one may have lost its beginning.
    """
    found: list[bytes] = []
    for file in reversed(with_old_files(path)):
        size = size_of(file)
        found[:0] = complete_lines(file, max(0, size - most))
        most -= size
        if most <= 0:
            break
    return found


@contextmanager
def open_to_append(path: Path) -> Iterator[FileIO]:
    """Give a log, so that lines go into the file of this name and into no old file.

    Each ``write`` must have whole lines; several processes may write at once.  Raises OSError.
    """
    while True:
        with path.open("ab", buffering=0) as file:
            _lock(file, fcntl.LOCK_SH)  # a rotation waits for those who write
            if _is_at(file, path):  # else it was renamed before the lock was there
                yield file
                return


def rotate_if_large(path: Path, most: int | None = None) -> bool:
    """Rename a log of more than ``most`` bytes; return whether that was done.

    Of several processes that want it at once, one does it.  Raises OSError.
    """
    if not is_large(path, most):
        return False
    with path.open("ab", buffering=0) as file:
        _lock(file, fcntl.LOCK_EX)
        if not _is_at(file, path) or not is_large(path, most):
            return False  # another process was first
        rename(path)
        return True


def rename(path: Path) -> None:
    """Make a log its own newest old file; there is no log then.  Raises OSError."""
    _make_room(path)
    path.rename(old_file(path, 1))


def empty_if_large(path: Path, most: int | None = None) -> bool:
    """Copy a log of more than ``most`` bytes, and empty it; return whether that was done.

    For a program that keeps the file open, to append to it.  A line that it writes between the end
    of the copy and the cut is lost, so this is for text that people read, and nothing counts.
    Raises OSError; the log is then as it was.
    """
    if not is_large(path, most):
        return False
    _make_room(path)
    copy = old_file(path, 1)
    try:
        with path.open("rb") as source, _new_file(copy) as target:
            shutil.copyfileobj(source, target)
            target.flush()
            while late := source.read():  # what came meanwhile; then cut at once
                target.write(late)
    except OSError:
        copy.unlink(missing_ok=True)
        raise
    os.truncate(path, 0)
    return True


def _make_room(path: Path) -> None:
    """Move each old file of a log one further; the oldest one is replaced."""
    for number in range(OLD_FILES - 1, 0, -1):
        with suppress(FileNotFoundError):
            old_file(path, number).rename(old_file(path, number + 1))


def _new_file(path: Path) -> FileIO:
    return FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _lock(file: FileIO, kind: int) -> None:
    with suppress(OSError):  # a file system without locks: a line may go into an old file
        fcntl.flock(file, kind)


def _is_at(file: FileIO, path: Path) -> bool:
    """Return whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
