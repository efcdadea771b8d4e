"""All that a page shows of a site at one moment, as plain data.

:mod:`deploy.page.watching` reads it from the site's files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deploy.page.history import Term
from deploy.site.diagnosis import Diagnosis
from strategies.protocol.records import Edition, TermRecord

Event = Mapping[str, Any]
"""A line of a log; other programs write them, so nothing in it is certain."""


@dataclass(frozen=True)
class ProgramSeen:
    """A program of the site: whether it runs, and how often it was started again."""

    name: str
    runs: bool
    restarts: int = 0
    process: int | None = None


@dataclass(frozen=True)
class PeerSeen:
    """Another member: its last message, and the last good and the last failed call to its site.

    Times are in seconds since the epoch, 0 for never.
    """

    heard: float = 0.0
    good: float = 0.0
    failed: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """One site at the time ``now``.

    ``read`` of ``terms_known`` records of the ledger are read and checked.  ``attempt`` is the
    highest that the site has granted in the open term, −1 for none.  ``audit`` has the last
    messages, ``events`` those of the terms that this site serves itself.  ``version`` changes when
    anything else does.
    """

    now: float
    version: str
    up: bool = False
    since: float | None = None
    programs: tuple[ProgramSeen, ...] = ()
    terms: tuple[Term, ...] = ()
    terms_known: int = 0
    last: TermRecord | None = None
    edition: Edition | None = None
    served: frozenset[str] = frozenset()
    terms_served: Mapping[str, int] = field(default_factory=dict)
    rounds_trained: Mapping[str, int] = field(default_factory=dict)
    invalid: int | None = None
    attempt: int = -1
    training_since: float | None = None
    """When the training that goes on was begun; None while the site does not train."""
    rounds_ordered: int | None = None
    audit: tuple[Event, ...] = ()
    events: tuple[Event, ...] = ()
    problems: tuple[tuple[float, str], ...] = ()
    refusals: tuple[Event, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)
    """Code → refused messages since the page's program was started."""
    peers: Mapping[str, PeerSeen] = field(default_factory=dict)
    outgoing_bytes: int = 0
    """Bytes that the site's edge has sent to other sites since the page's program was started."""
    certificates: Mapping[str, datetime] = field(default_factory=dict)
    doctor: Diagnosis | None = None
    has_cases: bool = False
    unread: str | None = None
    """Why the ledger cannot be read."""

    @property
    def term(self) -> int:
        """The open term, or the one that would be opened next."""
        return self.terms[-1].term + 1 if self.terms else 1

    @property
    def round(self) -> int:
        """The committed rounds."""
        return self.terms[-1].round if self.terms else 0

    @property
    def running(self) -> bool:
        """Whether a run is under way: one is ordered, and its rounds are not committed yet."""
        ended = bool(self.terms) and bool(self.terms[-1].ended)
        return self.rounds_ordered is not None and self.round < self.rounds_ordered and not ended
