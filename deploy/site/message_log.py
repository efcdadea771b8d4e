"""``audit.jsonl``: every message that a site accepted or refused, hash-chained, never rewritten."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from clients.files.durable import append_durably
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
        if not self._path.exists():
            return b""
        with self._path.open("rb+") as file:
            start = file.seek(0, os.SEEK_END)
            tail = b""
            while start > 0 and tail.count(b"\n") < 2:
                step = min(TAIL_BYTES, start)
                start -= step
                file.seek(start)
                tail = file.read(step) + tail
            complete = tail[: tail.rfind(b"\n") + 1]
            # A crash left an incomplete line; its event was never acknowledged.
            if len(complete) < len(tail):
                file.truncate(start + len(complete))
        lines = complete.splitlines()
        return lines[-1] if lines else b""


def check_message_log(path: Path) -> int:
    """Return the number of events; raises :class:`LedgerError` if the chain is broken.

    A last line that a crash cut short is not counted.
    """
    before, count = b"", 0
    for line in _lines(path):
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


def _lines(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line.rstrip(b"\n")
