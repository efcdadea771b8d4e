"""The wait before the next try: a program that has ended, or a run that has failed."""

from __future__ import annotations

from dataclasses import dataclass

SETTLED_SECONDS = 60.0


@dataclass
class Backoff:
    """The wait before the next try: it doubles each time, from ``least`` to ``most`` seconds."""

    least: float = 0.5
    most: float = 30.0
    _next: float | None = None

    def after(self, lasted: float = 0.0) -> float:
        """Return the seconds to wait after a try that lasted ``lasted`` seconds.

        A try that lasted at least ``SETTLED_SECONDS`` resets the wait.
        """
        if self._next is None or lasted >= SETTLED_SECONDS:
            self._next = self.least
        wait, self._next = self._next, min(2 * self._next, self.most)
        return wait
