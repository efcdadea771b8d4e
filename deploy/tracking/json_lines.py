"""A sink that needs no other program: one figure a line, as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from clients.files.durable import not_writable

MEND = "free space, or name another --out"


class JsonLines:
    """Writes the new file ``path``.  Methods raise RunFolderError when it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("x", encoding="utf-8")
        except OSError as error:
            raise not_writable(path, error, MEND) from error

    def scalar(self, name: str, value: float, step: int) -> None:
        """Write a figure."""
        self._file.write(json.dumps({"name": name, "value": value, "step": step}) + "\n")

    def flush(self) -> None:
        """Let readers see what was written so far."""
        try:
            self._file.flush()
        except OSError as error:
            raise not_writable(self._path, error, MEND) from error

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:
            raise not_writable(self._path, error, MEND) from error
