"""``audit.jsonl``: every message that a site accepted or refused, hash-chained, never rewritten."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from clients.files.durable import append_durably
from clients.files.lines import complete_lines, size_of
from clients.files.locks import locked
from strategies.errors import LedgerError
from strategies.protocol.records import canonical_json

GENESIS = "0" * 64
TAIL_BYTES = 8192


class MessageLog:
    """An append-only list of events in a file; each line names the hash of the one before it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, **event: object) -> None:
        """Append one event with the time of day; several processes may do so at once."""
        with locked(self._path.with_suffix(".lock"), wait=True):
            before = self._last_line()
            entry = {
                "time": round(time.time(), 3),
                **event,
                "after": hashlib.sha256(before).hexdigest() if before else GENESIS,
            }
            append_durably(self._path, canonical_json(entry))

    def _last_line(self) -> bytes:
        """Return the last complete line, and truncate an incomplete one after it."""
        size, reach = size_of(self._path), TAIL_BYTES
        while True:
            start = max(0, size - reach)
            lines = list(complete_lines(self._path, start))
            if start == 0 or len(lines) > 1:  # else the only line may be the end of a longer one
                break
            reach *= 2
        end = start + sum(map(len, lines))
        # A crash left an incomplete line; its event was never acknowledged.
        if end < size:
            os.truncate(self._path, end)
        return lines[-1].rstrip(b"\n") if lines else b""


def check_message_log(path: Path) -> int:
    """Return the number of events; raises :class:`LedgerError` if the chain is broken.

    A last line that a crash cut short is not counted.
    """
    before, count = b"", 0
    for whole in complete_lines(path):
        line = whole.rstrip(b"\n")
        expected = hashlib.sha256(before).hexdigest() if before else GENESIS
        try:
            after = json.loads(line)["after"]
        except (ValueError, KeyError, TypeError):
            after = None
        if after != expected:
            raise LedgerError(
                f"{path} is broken at line {count + 1}",
                "lines each of which names the hash of the one before it",
                "find out who changed the file; a copy from before is intact up to its own end",
            )
        before, count = line, count + 1
    return count
