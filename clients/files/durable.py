"""Write files so that a crash at any instant leaves the old content or the new, never a mixture."""

from __future__ import annotations

import os
import re
import uuid
from contextlib import suppress
from pathlib import Path

from strategies.errors import RunFolderError

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
RESUME = "free space or choose another folder, then resume the run: committed terms are kept"


def write_durably(path: Path, data: bytes, private: bool = False, mend: str = RESUME) -> None:
    """Replace ``path`` by ``data``: write to a temporary file, fsync, rename, fsync the folder.

    Only its owner can read a ``private`` file, from its first byte on.

    Raises :class:`RunFolderError`, with ``mend`` as the way out, when the disk is full or the
    folder cannot be written; the old content stays.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        mode = 0o600 if private else 0o666
        with os.fdopen(os.open(temporary, _NEW, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise not_writable(path, error, mend) from error


def append_durably(path: Path, line: bytes) -> None:
    """Append one line and fsync; when that fails the file is cut back to what it was."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with path.open("ab", buffering=0) as file:  # else closing would write what did not fit
            before = file.tell()
            try:
                rest = memoryview(line + b"\n")
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), before)
                raise
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise not_writable(path, error) from error


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_temporaries(folder: Path) -> None:
    """Delete what :func:`write_durably` left in ``folder`` when its process was killed.

    Only for those who know that nobody else writes there.
    """
    with suppress(OSError):  # what cannot be deleted takes space and does no harm
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
