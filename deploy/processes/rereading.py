"""Start a program of the site again when a file that it reads at its start was replaced."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.processes.children import Child
from deploy.processes.config import Strict

LOOK_SECONDS: Final = 2.0


class Rereading(Strict):
    """A program of the site, by its name, and the file that it reads at its start."""

    program: str
    file: Path


@dataclass
class KeptCurrent:
    """Ends the program of ``rereading`` when its file is another; its supervisor restarts it.

    The file as it is when this object is made counts as the one that the program has read.
    """

    rereading: Rereading | None
    clock: Callable[[], float] = time.monotonic
    _read: tuple[int, int] | None = field(init=False)
    _due: float = 0.0

    def __post_init__(self) -> None:
        self._read = self._state()

    @property
    def program(self) -> str:
        """The program's name, or ""."""
        return self.rereading.program if self.rereading is not None else ""

    def tend(self, running: Mapping[str, Child]) -> bool:
        """Look, if it is time; return whether the program was asked to end."""
        if self.rereading is None or self.clock() < self._due:
            return False
        self._due = self.clock() + LOOK_SECONDS
        now, child = self._state(), running.get(self.rereading.program)
        if now is None or now == self._read:
            return False
        self._read = now
        if child is None:  # it is about to start, and reads the file as it is now
            return False
        os.kill(child.pid, signal.SIGTERM)  # not reaped yet: the id is nobody else's
        return True

    def _state(self) -> tuple[int, int] | None:
        with suppress(OSError):
            if self.rereading is not None:
                found = self.rereading.file.stat()
                return found.st_mtime_ns, found.st_ino
        return None
