"""A bell that one process rings and another hears: the modification time of a file.

Listeners look at the file often; a look is one ``stat``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path


class Bell:
    """The bell at ``path``; its folder must exist, the file itself need not."""

    # A file and no pipe or socket: a ring waits for nobody, and a crash leaves nothing to repair.
    def __init__(self, path: Path) -> None:
        self._path = path

    def ring(self) -> None:
        """Ring it; raises OSError when the folder is missing or not writable."""
        now = time.time_ns()  # the kernel's own stamp is coarse: two rings could look like one
        with self._path.open("ab"):
            os.utime(self._path, ns=(now, now))

    def last_rung(self) -> float:
        """Return when it was last rung, in seconds since the epoch; 0 when never."""
        try:
            return self._path.stat().st_mtime_ns / 1e9
        except FileNotFoundError:
            return 0.0

    def rung_since(self, moment: float) -> bool:
        """Return whether it was rung after ``moment``, a time that ``last_rung`` returned."""
        # Unequal, not later: a clock that was set back must not make the bell mute.
        return self.last_rung() != moment
