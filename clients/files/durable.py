"""Write files safely: after a crash at any instant a file has its old or its new content."""

from __future__ import annotations

import fcntl
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from strategies.errors import RunFolderError

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}")  # names that write_durably gives
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_TAIL_BYTES = 8192
RESUME = "free space or choose another folder, then resume the run: committed terms are kept"


def write_durably(path: Path, data: bytes, private: bool = False, mend: str = RESUME) -> None:
    """Replace ``path`` by ``data``: write to a temporary file, fsync, rename, fsync the folder.

    Only its owner can read a ``private`` file, from its first byte on.

    Raises :class:`RunFolderError`, with ``mend`` as the way out, when the disk is full or the
    folder cannot be written; the old content stays.
    """
    with durable_file(path, private, mend) as file:
        file.write(data)


@contextmanager
def durable_file(path: Path, private: bool = False, mend: str = RESUME) -> Iterator[BinaryIO]:
    """Give a new file that replaces ``path`` at the end of the block, as :func:`write_durably`.

    If the block raises, the old content stays.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        # The mode is set when the file is made: a later chmod would leave a moment for readers.
        mode = 0o600 if private else 0o666
        with os.fdopen(os.open(temporary, _NEW, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # before the rename, else a crash can leave an empty file
        temporary.replace(path)
        sync_folder(path.parent)  # the rename itself is durable only now
    except Exception as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise not_writable(path, error, mend) from error
        raise


def append_durably(path: Path, line: bytes) -> None:
    """Append one line durably, after the last complete one; several processes may do so at once.

    Raises :class:`RunFolderError` if that fails, and leaves the complete lines as they were.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        # Without a buffer: Python would write the rest of a line that did not fit on closing.
        with path.open("a+b", buffering=0) as file:
            # Else the half of a line that another process is writing would look torn.
            fcntl.flock(file, fcntl.LOCK_EX)
            before = _cut_torn_line(file)
            try:
                rest = memoryview(line + b"\n")
                while rest:  # an unbuffered write may write only a part
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), before)
                raise
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise not_writable(path, error) from error


def _cut_torn_line(file: FileIO) -> int:
    """Remove a last line that a crash cut short; return the file's size in bytes."""
    # It was never acknowledged, and the next line must not become a part of it.
    size = end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _TAIL_BYTES)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(file.fileno(), end)
    return end


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_temporaries(folder: Path) -> None:
    """Delete temporary files of :func:`write_durably` whose process was killed.

    The caller must know that nobody else writes in ``folder``.
    """
    with suppress(OSError):  # a file that cannot be deleted takes space and does no harm
        for path in sorted(folder.rglob(".*")):
            if TEMPORARY.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)


def not_writable(path: Path, error: OSError, mend: str = RESUME) -> RunFolderError:
    """Return the error for a file that could not be written."""
    return RunFolderError(
        f"{path} could not be written ({error.strerror or type(error).__name__})",
        "a writable folder with free space",
        mend,
        RunFolderError.NOT_WRITABLE,
    )
