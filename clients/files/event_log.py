"""Events of a run, one JSON object a line: the live table and people who debug read them."""

from __future__ import annotations

import json
import time
from pathlib import Path


class EventLog:
    """An observer that appends to a file.  Events help people; nothing depends on them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, event: str, **fields: object) -> None:
        """Append one event with the time of day in seconds."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **fields})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError:
            return  # a full disk stops the run where it matters: at the ledger
