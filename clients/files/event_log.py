"""Log a run's events as JSON lines, for the live table and for people who debug."""

from __future__ import annotations

import json
import time
from pathlib import Path


class EventLog:
    """An observer that appends events to a file. No part of the protocol reads them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, event: str, **fields: object) -> None:
        """Append one event with the time of day in seconds."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **fields})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError:
            return  # a full disk stops the run at the ledger, where it matters
