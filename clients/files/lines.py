"""Files to which lines are appended, and which may be read while somebody appends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def complete_lines(path: Path, start: int = 0) -> Iterator[bytes]:
    """Yield the lines of ``path`` from the byte ``start`` on, each with its end.

    A last line without an end is left out.  A file that is missing, or shorter than ``start``, has
    no lines.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if line.endswith(b"\n"):  # else it is still being written, or a crash has cut it short
                yield line


def size_of(path: Path) -> int:
    """Return a file's size in bytes; 0 when there is no file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
