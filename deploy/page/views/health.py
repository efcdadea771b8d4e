"""The site's programs, peers, certificates, problems, and doctor's lines.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from deploy.identity.checks import ERROR_DAYS, WARNING_DAYS
from deploy.page.config import PageConfig
from deploy.page.snapshot import PeerSeen, Snapshot
from deploy.page.views.ring import is_down
from deploy.site.diagnosis import SEVERITIES, Line, Severity


@dataclass(frozen=True)
class Peer:
    """Another member: whether its site can be reached, and the time of its last message."""

    vendor: str
    standing: Literal["reachable", "unreachable", "unknown"]
    heard: float


@dataclass(frozen=True)
class Certificate:
    """A certificate of the site, and the days until it expires, below zero if it has."""

    name: str
    until: str
    days: int
    level: Severity


@dataclass(frozen=True)
class Health:
    """All that an operator may have to mend; doctor's lines have the worst first."""

    peers: tuple[Peer, ...]
    certificates: tuple[Certificate, ...]
    problems: tuple[tuple[float, str], ...]
    doctor: tuple[Line, ...]
    doctor_time: float | None

    @property
    def doctor_counts(self) -> Mapping[str, int]:
        """How many of doctor's lines have each severity."""
        return {each: sum(line.severity == each for line in self.doctor) for each in SEVERITIES}


def health(config: PageConfig, seen: Snapshot) -> Health:
    """Return the health of the site."""
    roster = (seen.edition or config.first).roster
    doctor = seen.doctor.lines if seen.doctor is not None else ()
    return Health(
        tuple(peer(vendor, seen) for vendor in roster if vendor != config.vendor),
        certificates(seen),
        tuple(reversed(seen.problems[-5:])),
        tuple(sorted(doctor, key=lambda line: SEVERITIES.index(line.severity), reverse=True)),
        seen.doctor.time.timestamp() if seen.doctor is not None else None,
    )


def peer(vendor: str, seen: Snapshot) -> Peer:
    """Return how a peer stands, by its messages and the calls to and from it."""
    found = seen.peers.get(vendor, PeerSeen())
    if not seen.up:
        return Peer(vendor, "unknown", found.heard)
    if is_down(found, seen.now):
        return Peer(vendor, "unreachable", found.heard)
    since = seen.since or 0.0
    known = max(found.heard, found.good) >= since
    return Peer(vendor, "reachable" if known else "unknown", found.heard)


def certificates(seen: Snapshot) -> tuple[Certificate, ...]:
    """Return the site's certificates, the first to expire first."""
    now = datetime.fromtimestamp(seen.now, UTC)
    found = []
    for name, until in sorted(seen.certificates.items(), key=lambda each: each[1]):
        days = (until - now).days
        level: Severity = (
            "error" if days < ERROR_DAYS else "warning" if days < WARNING_DAYS else "ok"
        )
        found.append(Certificate(name, f"{until:%Y-%m-%d}", days, level))
    return tuple(found)
