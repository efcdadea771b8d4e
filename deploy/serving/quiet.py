"""Decide when a site to which nobody speaks asks the others what it has missed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

LEAST_SECONDS = 5.0
FIRST_SECONDS, MAX_SECONDS = 3600.0, 6 * 3600.0


@dataclass
class Quiet:
    """How long a site has heard nothing new.

    ``news`` returns once whether a peer is back, or shows that it is further
    (:mod:`deploy.serving.lookout`).
    """

    news: Callable[[], bool] = lambda: False
    _heard: Hashable = None
    _since: float | None = None
    _asked: float = 0.0

    def is_due(self, heard: Hashable, now: float) -> bool:
        """Return whether to ask, and note it; ``heard`` is what the others have told so far.

        It is time when there is news, and else ever more rarely: asking wakes all the others.
        """
        if self._since is None or heard != self._heard:
            self._heard, self._since, self._asked = heard, now, now
        if now - self._asked < LEAST_SECONDS:
            return False
        wait = min(max(FIRST_SECONDS, (now - self._since) / 10), MAX_SECONDS)
        due = now - self._asked >= wait or self.news()
        if due:
            self._asked = now
        return due
