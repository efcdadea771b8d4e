"""The wait before a program that has ended is started again."""

from __future__ import annotations

from dataclasses import dataclass

MIN_BACKOFF, MAX_BACKOFF = 0.5, 30.0


SETTLED_SECONDS = 60.0


@dataclass
class Backoff:
    """The wait before a program is started again: it doubles each time, up to ``MAX_BACKOFF``."""

    seconds: float = MIN_BACKOFF

    def after(self, lived: float) -> float:
        """Return the wait after a life of ``lived`` seconds; a long life resets the wait."""
        wait = MIN_BACKOFF if lived >= SETTLED_SECONDS else self.seconds
        self.seconds = min(2 * wait, MAX_BACKOFF)
        return wait
