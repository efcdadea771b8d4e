"""Follow a file of JSON lines that other programs append to: each look reads what is new."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.files.following import FollowedLines

FIRST_BYTES = 2**20
"""The first look reads no more than this from the end of a file."""
KEPT = 2000


@dataclass
class FollowedLog:
    """The last events of the file at ``path``, the oldest first."""

    path: Path
    kept: int = KEPT
    events: deque[dict[str, Any]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._lines = FollowedLines(self.path, FIRST_BYTES)

    def look(self) -> Iterator[dict[str, Any]]:
        """Read the new events, and yield each; what is not taken is read by the next look."""
        # Bit by bit: after a week in which nobody looked, the news may be large.
        while lines := self._lines.look():
            if self._lines.begins_again:
                self.events.clear()
            for event in (found for line in lines for found in _event(line)):
                self.events.append(event)
                if len(self.events) > self.kept:
                    self.events.popleft()
                yield event
        if self._lines.begins_again:  # by an empty file, or by none
            self.events.clear()

    def catch_up(self) -> None:
        """Read the new events."""
        for _ in self.look():
            pass


def _event(line: bytes) -> list[dict[str, Any]]:
    """Return the event in a line, as a list of one; an empty list for a line that has none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):  # the last for very deep JSON
        return []
    return [event] if isinstance(event, dict) else []
