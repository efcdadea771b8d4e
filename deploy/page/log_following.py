"""Follow a file of JSON lines that other programs append to: each look reads what is new."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.files.lines import complete_lines, size_of

FIRST_BYTES = 2**20
"""The first look reads no more than this from the end of a file."""
MOST_BYTES = 4 * 2**20
"""A later look reads no more: what came before is left out."""
KEPT = 2000


@dataclass
class FollowedLog:
    """The last events of the file at ``path``, the oldest first."""

    path: Path
    kept: int = KEPT
    events: deque[dict[str, Any]] = field(default_factory=deque)
    _offset: int | None = None
    _number: int | None = None

    def look(self) -> list[dict[str, Any]]:
        """Read the new events, and return them."""
        number = self._file_number()
        size = size_of(self.path)
        if number != self._number or (self._offset or 0) > size:  # another file, or cut
            self._offset, self._number = None, number
            self.events.clear()
        reach = FIRST_BYTES if self._offset is None else MOST_BYTES
        start = max(self._offset or 0, size - reach)
        whole = start == (self._offset or 0)
        new = []
        for position, line in enumerate(complete_lines(self.path, start)):
            start += len(line)
            if position or whole:  # a first line that is not whole may be the end of another one
                new += _event(line)
        self._offset = start
        self.events.extend(new)
        while len(self.events) > self.kept:
            self.events.popleft()
        return new

    def _file_number(self) -> int | None:
        try:
            return self.path.stat().st_ino
        except OSError:
            return None


def _event(line: bytes) -> list[dict[str, Any]]:
    """Return the event in a line, as a list of one; an empty list for a line that has none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):  # the last for very deep JSON
        return []
    return [event] if isinstance(event, dict) else []
