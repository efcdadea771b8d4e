"""Decide when it is a vendor's turn to serve: by the ranking and two time-outs.  Pure.

The elected server opens a term as soon as the record before it is committed.  If it does not, the
next vendor in the ranking replaces it after the time-out ``open``, the vendor after that after
twice as long, and so on.  Once a vendor has opened the term, the next vendor waits for the time-out
``commit``.  Both time-outs grow, up to a limit, each time that all vendors have tried: otherwise a
federation that has become slow would end every attempt too early.

Nobody waits for an attempt that its vendor has yielded (:mod:`strategies.protocol.yielding`): the
next vendor of those that have not yielded serves at once.  Those that have yielded try again after
all others have had their turn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

from strategies.protocol.quorum import NONE_SEEN, own_attempt, owner
from strategies.protocol.records import Absence, TermRecord

MIN_OPEN_SECONDS = 5.0
MIN_COMMIT_SECONDS = 10.0
PATIENCE = 3.0
RECENT_TERMS = 5
MAX_LONGER = 8
"""The largest factor by which time-outs grow: a vendor that returns must not wait forever."""


@dataclass(frozen=True)
class Timeouts:
    """The seconds that a server may take to open a term, and an open term to be committed."""

    open: float
    commit: float


@dataclass(frozen=True)
class Seen:
    """The highest attempt at the open term that a site has seen, and the time (its own clock).

    If it has not seen any attempt, ``since`` is the time at which the site learnt that the record
    before was committed.
    """

    attempt: int
    since: float


@dataclass(frozen=True)
class Yielded:
    """The last attempt at the open term that a vendor has yielded, and when the site heard it."""

    attempt: int
    heard: float


@dataclass(frozen=True)
class Turn:
    """A vendor's next attempt, and the time (on the same clock) from which the vendor may serve."""

    attempt: int
    due: float


def next_turn(
    vendor: str,
    ranking: Sequence[str],
    seen: Seen,
    timeouts: Timeouts,
    liars: Collection[str] = (),
    yielded: Mapping[str, Yielded] = MappingProxyType({}),
) -> Turn:
    """Return the next attempt of ``vendor`` at the open term, and the time at which it is due.

    Nobody waits for the ``liars``, whose servers no site obeys.  ``yielded`` are the vendors that
    have yielded an attempt.
    """
    given_up = yielded[vendor].attempt if vendor in yielded else NONE_SEEN
    if seen.attempt > max(NONE_SEEN, given_up) and owner(seen.attempt, ranking) == vendor:
        return Turn(seen.attempt, seen.since)  # the vendor's own attempt: continue it
    following = seen.attempt + 1
    attempt = own_attempt(vendor, ranking, max(following, given_up + 1))
    before = [(seen.attempt, timeouts.commit)] if seen.attempt > NONE_SEEN else []
    before += [(each, timeouts.open) for each in range(following, attempt)]
    # One more than the number of times that all vendors have tried, up to the limit.
    longer = min(1 + max(seen.attempt, 0) // len(ranking), MAX_LONGER)
    due = seen.since
    for each, seconds in before:
        other = owner(each, ranking)
        if other in liars:
            continue
        until = due + longer * seconds
        told = yielded.get(other)
        # A vendor that has yielded comes behind those that have not; among each other, in turn.
        is_behind = given_up == NONE_SEEN and each > seen.attempt
        if told is not None and (each <= told.attempt or is_behind):
            until = min(until, max(due, told.heard))
        due = until
    # Else vendors that all fail would try one after another without a pause.
    pause = longer * timeouts.open if given_up > NONE_SEEN else 0.0
    return Turn(attempt, due + pause)


def newly_heard(
    told: Iterable[Absence], before: Mapping[str, Yielded], now: float
) -> dict[str, Yielded]:
    """Return the vendors that have yielded, by what they have ``told``, and since when that is so.

    ``before`` is the result at the last look at it, ``now`` the time of this one.
    """
    since = {(vendor, each.attempt): each.heard for vendor, each in before.items()}
    return {
        each.vendor: Yielded(each.attempt, since.get((each.vendor, each.attempt), now))
        for each in told
    }


def learnt_timeouts(
    records: Sequence[TermRecord],
    first_open: float,
    first_commit: float,
    wanted_open: float | None = None,
    wanted_commit: float | None = None,
) -> Timeouts:
    """Return the configured time-outs, or else three times the median duration of recent terms.

    ``first_open`` and ``first_commit`` apply before the first committed term.  All are in seconds.
    """
    recent = records[-RECENT_TERMS:]
    # The median, so that one term with a frozen site does not lengthen the waits after it.
    opening = [r.cost["open"].seconds for r in recent if "open" in r.cost]
    whole = [sum(phase.seconds for phase in r.cost.values()) for r in recent]
    learnt_open = max(MIN_OPEN_SECONDS, PATIENCE * median(opening)) if opening else first_open
    learnt_commit = max(MIN_COMMIT_SECONDS, PATIENCE * median(whole)) if whole else first_commit
    return Timeouts(
        wanted_open if wanted_open is not None else learnt_open,
        wanted_commit if wanted_commit is not None else learnt_commit,
    )
