"""The ring of vendors: where each stands on a circle, and the part it plays now.  Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from deploy.page.snapshot import PeerSeen, Snapshot
from deploy.page.views.live import Live
from srflm_flower.report.wording import shortened

Part = Literal["serves", "is elected", "trains", "unreachable"]

SIZE = 320
RADIUS = 108.0
LENGTH = 14
"""Most letters of a name at a dot of the ring."""
FRESH_SECONDS = 60.0
"""A failed call counts for so long."""


@dataclass(frozen=True)
class Place:
    """A vendor on the ring, at ``x``, ``y``; its ``label`` stands at ``label_x``, ``label_y``."""

    vendor: str
    label: str
    part: Part
    own: bool
    served: int
    x: float
    y: float
    label_x: float
    label_y: float
    anchor: Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Ring:
    """All places, and the one of the vendor that has the server role."""

    places: tuple[Place, ...]
    server: Place
    size: int = SIZE

    @property
    def in_words(self) -> str:
        """What the picture shows, for those that do not see it."""
        others = "; ".join(f"{place.vendor} {place.part}" for place in self.places)
        return f"The vendors in the order of the roster: {others}."


def ring(seen: Snapshot, roster: Sequence[str], now: Live, own: str) -> Ring:
    """Return the roster on a circle, the first vendor at the top, clockwise."""
    places = []
    for position, vendor in enumerate(roster):
        angle = 2 * math.pi * position / len(roster) - math.pi / 2
        across, down = math.cos(angle), math.sin(angle)
        part = _part(vendor, now, is_down(seen.peers.get(vendor), seen.now))
        places.append(
            Place(
                vendor,
                shortened(vendor, LENGTH),
                part,
                vendor == own,
                seen.terms_served.get(vendor, 0),
                round(SIZE / 2 + RADIUS * across, 1),
                round(SIZE / 2 + RADIUS * down, 1),
                round(SIZE / 2 + (RADIUS + 24) * across, 1),
                round(SIZE / 2 + (RADIUS + 27) * down, 1),
                "middle" if abs(across) < 0.35 else "start" if across > 0 else "end",
            )
        )
    server = next((place for place in places if place.vendor == now.server), places[0])
    return Ring(tuple(places), server)


def is_down(peer: PeerSeen | None, now: float) -> bool:
    """Return whether the last call to a peer's site has failed, a short while ago."""
    return peer is not None and peer.failed > peer.good and now - peer.failed < FRESH_SECONDS


def _part(vendor: str, now: Live, down: bool) -> Part:
    if vendor == now.server:
        return "serves" if now.opened else "is elected"
    return "unreachable" if down else "trains"
