"""When it is a vendor's turn to serve: at once when elected, later by order of succession.  Pure.

The elected server opens a term as soon as the record before it is committed.  If it does not, the
next in the ranking stands in after the time-out ``open``, the one after that after twice as long,
and so on; once somebody has opened the term, the next one waits for the time-out ``commit``.  Both
grow when all have tried, up to a limit: a federation that has become slow would else end every
attempt too early.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from strategies.protocol.quorum import NONE_SEEN, own_attempt, owner
from strategies.protocol.records import TermRecord

MIN_OPEN_SECONDS = 5.0
MIN_COMMIT_SECONDS = 10.0
PATIENCE = 3.0
RECENT_TERMS = 5
MAX_LONGER = 8
"""So many times as long do time-outs become: who comes back must not wait for ever."""


@dataclass(frozen=True)
class Timeouts:
    """How long the next server may take to open a term, and an open term to be committed."""

    open: float
    commit: float


@dataclass(frozen=True)
class Seen:
    """The highest attempt at the open term that a site has seen, and since when (its own clock).

    With none seen, ``since`` is when the record before was committed, as far as the site knows.
    """

    attempt: int
    since: float


@dataclass(frozen=True)
class Turn:
    """A vendor's next attempt, and the moment (of the same clock) from which it is its turn."""

    attempt: int
    due: float


def next_turn(vendor: str, ranking: Sequence[str], seen: Seen, timeouts: Timeouts) -> Turn:
    """Return when ``vendor`` is to serve the open term, and under which attempt."""
    if seen.attempt > NONE_SEEN and owner(seen.attempt, ranking) == vendor:
        return Turn(seen.attempt, seen.since)  # its own attempt: it goes on with it
    following = seen.attempt + 1
    attempt = own_attempt(vendor, ranking, following)
    first = timeouts.commit if seen.attempt > NONE_SEEN else 0.0
    longer = min(1 + max(seen.attempt, 0) // len(ranking), MAX_LONGER)
    return Turn(attempt, seen.since + longer * (first + (attempt - following) * timeouts.open))


def learnt_timeouts(
    records: Sequence[TermRecord],
    first_open: float,
    first_commit: float,
    wanted_open: float | None = None,
    wanted_commit: float | None = None,
) -> Timeouts:
    """Return the time-outs: those wanted, or three times what the last terms took (their median).

    One term that a frozen site held up must not make everybody wait as long for the next.

    ``first_open`` and ``first_commit`` hold before there is any term to learn from.
    """
    recent = records[-RECENT_TERMS:]
    opening = [r.cost["open"].seconds for r in recent if "open" in r.cost]
    whole = [sum(phase.seconds for phase in r.cost.values()) for r in recent]
    learnt_open = max(MIN_OPEN_SECONDS, PATIENCE * median(opening)) if opening else first_open
    learnt_commit = max(MIN_COMMIT_SECONDS, PATIENCE * median(whole)) if whole else first_commit
    return Timeouts(
        wanted_open if wanted_open is not None else learnt_open,
        wanted_commit if wanted_commit is not None else learnt_commit,
    )
