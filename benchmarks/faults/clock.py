"""A clock that can be moved: one site's programs ask libfaketime for the time, if it is installed.

Debian has it in the package ``libfaketime``.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from deploy.processes.children import environment_with

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/*/faketime/libfaketimeMT.so.1")
SLEEP = Path(__file__).with_name("true_sleep")


class Clock:
    """The clock of the programs of one site; ``offset`` is the file from which they read it."""

    def __init__(self, vendor: str, offset: Path) -> None:
        self.vendor, self._offset = vendor, offset
        self.library = find_library()
        self._set(0)

    def of(self, vendor: str) -> AbstractContextManager[None]:
        """Let the programs that the block starts have this clock, if they are of its site."""
        if vendor != self.vendor or self.library is None:
            return nullcontext()
        wanted = {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_CACHE_DURATION": "1",  # seconds after which the file is read again
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",  # killed processes would leave their shared memory
            "NO_FAKE_STAT": "1",  # the disk's times are true
            "PYTHONPATH": os.pathsep.join(filter(None, (str(SLEEP), os.environ.get("PYTHONPATH")))),
        }
        return environment_with(wanted)

    def move(self, seconds: int, for_seconds: float) -> None:
        """Move the clock while the site runs, and put it right again."""
        self._set(seconds)
        time.sleep(for_seconds)
        self._set(0)

    def _set(self, seconds: int) -> None:
        # Replaced at once: a program that reads an empty file would have no offset.
        new = self._offset.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n", encoding="ascii")
        new.replace(self._offset)


def find_library() -> Path | None:
    """Return the library of libfaketime for programs with threads, or None."""
    found = [path for pattern in LIBRARIES for path in Path("/").glob(pattern[1:])]
    return min(found, default=None)
