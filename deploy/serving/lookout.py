"""Look at the peers' doors: is the vendor there that everybody waits for, and has this site missed
anything?

A look is one call that the peer's edge answers itself, so it costs the same whatever the roster:
one peer after another, and the awaited server more often.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.door.sign import Sign
from deploy.site.unreached import write_unreached
from strategies.errors import SrflmError

LOOK_SECONDS = 1.5
MISSES = 3
"""Looks in a row that a vendor must miss before it counts as gone: some four seconds."""
ROUND_SECONDS = 5.0
"""Between two looks at the other peers."""
DOUBT_SECONDS = 90.0
"""Flower notices a dead SuperNode within a minute; after that its own word counts again."""


@dataclass
class Lookout:
    """Looks through ``look`` (peer → the sign at its door, or None) at ``peers``.

    ``note`` is the file by which the site's other processes know who cannot be reached.
    """

    look: Callable[[str], Sign | None]
    peers: Sequence[str]
    note: Path
    clock: Callable[[], float] = time.monotonic
    own: Sign = field(default_factory=Sign)
    awaited: str | None = None
    has_news: bool = False
    """Whether a peer is back, or further than this site."""
    _watched: str | None = None
    _misses: int = 0
    _lost: set[str] = field(default_factory=set)
    _told: dict[str, Sign] = field(default_factory=dict)
    _written: frozenset[str] = frozenset()
    _looked: float = 0.0
    _turn: int = 0

    def step(self) -> None:
        """Look once at the awaited vendor, and from time to time at the next of all peers."""
        watched = self.awaited
        if watched != self._watched:
            self._watched, self._misses = watched, 0
        if watched is not None:
            self._misses = 0 if self._hear(watched) else self._misses + 1
        self._write()
        if self.peers and self.clock() - self._looked >= ROUND_SECONDS:
            self._looked, self._turn = self.clock(), self._turn + 1
            self._hear(self.peers[self._turn % len(self.peers)])

    def unreached(self) -> frozenset[str]:
        """Return the awaited vendor, if nobody has answered at its door for some time."""
        gone = self._watched if self._misses >= MISSES else None
        return frozenset({gone} if gone is not None else ())

    def take_news(self) -> bool:
        """Return whether there is a reason to ask the others, once."""
        found, self.has_news = self.has_news, False
        return found

    def keep_looking(self) -> None:
        """Look in the background for as long as this process lives."""
        threading.Thread(target=self._look_on, daemon=True).start()

    def _look_on(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            self.step()

    def _hear(self, peer: str) -> bool:
        """Look at a peer's door; note whether there is a reason to ask it what it knows."""
        sign = self.look(peer)
        if sign is None:
            self._lost.add(peer)
            return False
        is_back = peer in self._lost
        self._lost.discard(peer)
        # A peer may lie about it, but the same lie moves this site once.
        if is_back or (sign.is_ahead_of(self.own) and self._told.get(peer) != sign):
            self._told[peer] = sign
            self.has_news = True
        return True

    def _write(self) -> None:
        gone, before = self.unreached(), self._written
        if not gone and not before:
            return  # most of the time
        self._written = gone  # each time anew: an old file does not count
        with suppress(SrflmError):  # on a full disk nobody else knows: the time-outs remain
            write_unreached(self.note, gone)


@dataclass
class Doubts:
    """Since when each vendor has been missed: in the last term, or as the server of this one."""

    _since: Mapping[str, float] = field(default_factory=dict)

    def about(self, missed: Collection[str], now: float) -> frozenset[str]:
        """Return those of ``missed`` for whose absence Flower's own word does not count yet."""
        self._since = {vendor: self._since.get(vendor, now) for vendor in missed}
        return frozenset(v for v, since in self._since.items() if now - since < DOUBT_SECONDS)
