"""Decide when a site to which nobody speaks asks the others what it has missed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

FIRST_SECONDS, MAX_SECONDS = 30.0, 600.0
PEERS_SECONDS = 5.0


def nobody() -> frozenset[str]:
    """Return no peers."""
    return frozenset()


@dataclass
class Quiet:
    """How long a site has heard nothing new; ``online`` returns the peers at its SuperLink."""

    online: Callable[[], frozenset[str]] = nobody
    _heard: Hashable = None
    _since: float = 0.0
    _asked: float = 0.0
    _peers: frozenset[str] | None = None
    _looked: float = 0.0

    def is_due(self, heard: Hashable, now: float) -> bool:
        """Return whether to ask, and note it; ``heard`` is what the others have told so far.

        It is time 30 s after anything new, when a peer comes online, and then ever more rarely.
        """
        if self._peers is None or heard != self._heard:
            self._heard, self._since, self._asked = heard, now, now
        came = False
        # A look costs as much as a message: it is for a site to which nobody speaks.
        if self._peers is None or now - max(self._looked, self._since) >= PEERS_SECONDS:
            peers, self._looked = self.online(), now
            came = self._peers is not None and not peers <= self._peers
            self._peers = peers
        # Each question is a run on the own SuperLink, which keeps all runs in its memory.
        wait = min(max(FIRST_SECONDS, (now - self._since) / 10), MAX_SECONDS)
        due = came or now - self._asked >= wait
        if due:
            self._asked = now
        return due
