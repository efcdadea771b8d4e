"""Follow a log that other programs append to and rotate: each look reads what is new."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clients.files.rotation import with_old_files

AT_ONCE: Final = 4 * 2**20
"""Bytes that are read, and so in memory, at once."""
LOOKS: Final = 3
PAUSE_SECONDS: Final = 0.01
MISSING: Final = 0


@dataclass
class FollowedLines:
    """The lines of the log at ``path``, from ``reach`` bytes before its end on.

    No line is left out, nor read twice, while the log is rotated at most three times between two
    looks.  ``begins_again`` says that the last look has found another file, or one that was cut.
    """

    path: Path
    reach: int
    begins_again: bool = field(default=False, init=False)
    _number: int | None = field(default=None, init=False)  # inode; None before the first look
    _offset: int = field(default=0, init=False)

    def look(self) -> list[bytes]:
        """Return the next new lines, each with its end, of ``AT_ONCE`` bytes or so at most."""
        self.begins_again = False
        found = self._unread()
        for file, number, start in found:
            read = _lines_from(file, number, start)
            if read is None:  # it was renamed since: the next look finds it
                break
            lines, self._offset = read
            self._number = number
            if lines:
                return lines
        return []

    def _unread(self) -> list[tuple[Path, int, int]]:
        """Return the files with what is new, the oldest first: path, inode, and first new byte."""
        for look in range(LOOKS):
            files = _existing(self.path)
            if self._number is None:
                return self._first(files)
            numbers = [number for _, number, _ in files]
            if self._number in numbers:
                return self._from_place(files[numbers.index(self._number) :])
            if self._number == MISSING or look == LOOKS - 1:
                break
            time.sleep(PAUSE_SECONDS)  # perhaps it is being renamed at this moment
        return self._another(files)

    def _first(self, files: list[tuple[Path, int, int]]) -> list[tuple[Path, int, int]]:
        """Return the newest files that together have ``reach`` bytes."""
        left, chosen = self.reach, list[tuple[Path, int, int]]()
        for path, number, size in reversed(files):
            chosen.insert(0, (path, number, max(0, size - left)))
            left -= size
            if left <= 0:
                break
        if not chosen:
            self._number = MISSING
        return chosen

    def _from_place(self, files: list[tuple[Path, int, int]]) -> list[tuple[Path, int, int]]:
        """Return the file of the last look, from where that ended on, and all later ones."""
        path, number, size = files[0]
        if size < self._offset:  # cut
            return self._another(files[-1:])
        return [(path, number, self._offset), *((path, number, 0) for path, number, _ in files[1:])]

    def _another(self, files: list[tuple[Path, int, int]]) -> list[tuple[Path, int, int]]:
        """Return the log that has taken the place of the one that was followed."""
        if self._number == MISSING:  # all that is there now is new
            return [(path, number, 0) for path, number, _ in files]
        self.begins_again = True
        if not files or files[-1][0] != self.path:
            self._number, self._offset = MISSING, 0
            return []
        path, number, size = files[-1]
        return [(path, number, max(0, size - self.reach))]


def _existing(path: Path) -> list[tuple[Path, int, int]]:
    """Return a log's files, the oldest first: path, inode, and size."""
    found = []
    for file in with_old_files(path):
        try:
            status = file.stat()
        except FileNotFoundError:
            continue
        found.append((file, status.st_ino, status.st_size))
    return found


def _lines_from(path: Path, number: int, start: int) -> tuple[list[bytes], int] | None:
    """Return complete lines from the byte ``start`` on, and the byte after them.

    None if the file with this inode has another name by now.  A ``start`` within a line is one of a
    first look: the rest of that line is left out.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        if os.fstat(file.fileno()).st_ino != number:
            return None
        file.seek(max(0, start - 1))
        inside = start > 0 and file.read(1) != b"\n"
        begin = start + (len(file.readline()) if inside else 0)
        data = file.read(AT_ONCE)
        if len(data) == AT_ONCE and not data.endswith(b"\n"):
            data += file.readline()  # a line is never cut
    *lines, rest = data.split(b"\n")
    return [line + b"\n" for line in lines], begin + len(data) - len(rest)
