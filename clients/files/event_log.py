"""Log a run's events as JSON lines, for the live table and for people who debug."""

from __future__ import annotations

import json
import time
from pathlib import Path

from clients.files.rotation import open_to_append, rotate_if_large


class EventLog:
    """An observer that appends events to a file. No part of the protocol reads them.

    Several processes may append at once.  A file that has grown large is rotated
    (:mod:`clients.files.rotation`); :mod:`clients.files.following` reads on across that.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, event: str, **fields: object) -> None:
        """Append one event with the time of day in seconds."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **fields})
        try:
            with open_to_append(self._path) as file:
                file.write(f"{line}\n".encode())
            rotate_if_large(self._path)
        except OSError:
            return  # a full disk stops the run at the ledger, where it matters
