"""Keep the logs of a site's programs small: the supervisor looks at them every minute.

The programs write their output into files that stay open, so a large one is copied and emptied.
nginx opens its logs again when it is asked to: they are renamed, and no line of theirs is lost.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from clients.files.rotation import empty_if_large, is_large, rename
from deploy.processes.children import Child
from deploy.processes.config import Strict

LOOK_SECONDS: Final = 60.0
OUTPUT: Final = "*.log"
REOPENED: Final = "*[!0-9]"
"""Files in the folder of a program that opens its logs again, but for the old ones."""


class Reopening(Strict):
    """A program of the site, by its name, that opens its logs again at the signal USR1."""

    program: str
    logs: Path
    """The folder of these logs, with nothing else in it."""
    pid: Path
    """The file into which the program writes its process id once it can take the signal."""


@dataclass
class KeptLogs:
    """The files ``*.log`` in ``outputs``, and the logs of a program that opens them again."""

    outputs: Path
    reopening: Reopening | None = None
    clock: Callable[[], float] = time.monotonic
    _due: float = 0.0

    def tend(self, running: Mapping[str, Child]) -> None:
        """Rotate what has grown large, if it is time; ``running`` are the site's programs."""
        if self.clock() < self._due:
            return
        self._due = self.clock() + LOOK_SECONDS
        for log in sorted(self.outputs.glob(OUTPUT)):
            with suppress(OSError):  # a full disk: it is tried again in a minute
                empty_if_large(log)
        if self.reopening is not None:
            with suppress(OSError):
                _rotate(self.reopening, running.get(self.reopening.program))


def _rotate(reopening: Reopening, child: Child | None) -> None:
    """Rename the large logs of a program, and let it open new ones."""
    large = [log for log in sorted(reopening.logs.glob(REOPENED)) if is_large(log)]
    program = _process(reopening, child)
    if not large or (program is None and child is not None):
        return  # a program that is just starting cannot take the signal
    for log in large:
        rename(log)
    if program is not None:
        with suppress(psutil.NoSuchProcess):
            program.send_signal(signal.SIGUSR1)


def _process(reopening: Reopening, child: Child | None) -> psutil.Process | None:
    """Return the process that has the logs open; None if it has not written its id yet."""
    if child is None:
        return None
    try:
        number = int(reopening.pid.read_text(encoding="ascii"))
        # The file may be of an earlier start, and its number another program's by now.
        family = {each.pid: each for each in psutil.Process(child.pid).children(recursive=True)}
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None
    return family.get(number)
