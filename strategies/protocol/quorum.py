"""At most one outcome per term: single-decree Paxos among the vendors' sites, as pure rules.

The sites agree on a term record, named here by its hash.  Paxos' ballot number is here the number
of an **attempt**; a ballot is something else here (strategies/election.py).  Attempt ``a`` belongs
to one vendor, ``ranking[a mod N]`` of the previous record, so no two vendors ever propose under the
same attempt.  Attempt 0 belongs to the elected server.  It is the lowest attempt and needs no
votes, because nothing can have been accepted before it.

* A site *grants* an attempt only if it has granted no higher attempt.  It stores the grant before
  it answers, and the answer names the record that it has accepted, if any.
* A server with the grants of a quorum proposes the record that was accepted under the highest
  attempt, or its own record if the grants name no record.  If they name two records there, it needs
  other grants: a vendor has lied.  It stores the proposal before it sends
  it, and never proposes two records under one attempt.
* A site *accepts* a record only under an attempt at least as high as any attempt that it has
  granted.
* A record is *committed* once a quorum has accepted it under one attempt.
* A site that may have forgotten a promise does not vote until two conditions hold: it has heard
  from a quorum which terms can have been open when it lost its state, and these terms are over.

(Lamport, "Paxos made simple", 2001.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from strategies.protocol.records import Quorum, liars_withstood, quorum_size

NONE_SEEN = -1
"""The highest attempt seen by a site that has not seen any attempt in the term."""

Refusal = Literal["outvoted", "forgetful", "two-outcomes"]


@dataclass(frozen=True)
class Accepted:
    """The hash of a record that a site has accepted, and the attempt under which it did."""

    attempt: int
    record: str


class TwoRecords(ValueError):
    """Grants of one attempt name two records as accepted under one attempt."""


@dataclass(frozen=True)
class Votes:
    """A site's state of the vote on the open term; it is stored durably before the site answers.

    ``granted`` is the highest attempt that the site has granted or accepted.  A ``forgetful`` site
    has lost its state, or was restored from a copy, and may have made promises that it has lost.
    """

    term: int
    granted: int = NONE_SEEN
    accepted: Accepted | None = None
    forgetful: bool = False


def owner(attempt: int, ranking: Sequence[str]) -> str:
    """Return the vendor to which ``attempt`` belongs."""
    return ranking[attempt % len(ranking)]


def own_attempt(vendor: str, ranking: Sequence[str], at_least: int) -> int:
    """Return the lowest attempt of ``vendor`` that is not below ``at_least``."""
    place = ranking.index(vendor)
    # Python's % is never negative, so the result is at least ``at_least``.
    return at_least + (place - at_least) % len(ranking)


def refusal(votes: Votes, attempt: int, record: str | None = None) -> Refusal | None:
    """Return why a site must not grant ``attempt``, or accept ``record`` under it; None if it may.

    Without ``record`` the question is about the grant.
    """
    # A forgotten promise might forbid this vote.
    if votes.forgetful:
        return "forgetful"
    # Equal is allowed: a repeated request gets the same vote.
    if attempt < votes.granted:
        return "outvoted"
    accepted = votes.accepted
    # Another record is allowed under a higher attempt, never under the same one.
    if record and accepted and (accepted.attempt, accepted.record) != (attempt, record):
        return "two-outcomes" if accepted.attempt == attempt else None
    return None


def grant(votes: Votes, attempt: int) -> Votes:
    """Return the votes of a site after its promise to obey no attempt below ``attempt``.

    Raises ValueError if :func:`refusal` gives a reason.
    """
    _require(refusal(votes, attempt))
    return replace(votes, granted=attempt)


def accept(votes: Votes, attempt: int, record: str) -> Votes:
    """Return the votes of a site after it has accepted ``record`` under ``attempt``.

    Raises ValueError if :func:`refusal` gives a reason.
    """
    _require(refusal(votes, attempt, record))
    # An acceptance is also a promise to obey no lower attempt.
    return replace(votes, granted=attempt, accepted=Accepted(attempt, record))


def must_propose(grants: Iterable[Accepted | None]) -> Accepted | None:
    """Return the record that a quorum's grants oblige a server to propose, or None if it is free.

    ``grants`` has for each grant the record accepted before, if any.  Raises :class:`TwoRecords`.
    """
    told = {each for each in grants if each}
    highest = max((each.attempt for each in told), default=NONE_SEEN)
    last = [each for each in told if each.attempt == highest]
    # A server that lies proposes two records under one attempt.  Either can be committed, so a
    # server that was free to choose could fork.
    if len(last) > 1:
        raise TwoRecords(f"{len(last)} records accepted under attempt {highest}")
    return last[0] if last else None


def none_committed(
    told: Mapping[str, Accepted | None], roster: Collection[str], quorum: Quorum
) -> bool:
    """Return whether grants show that no record can have been committed below their attempt.

    ``told`` has for each vendor that granted the record that it has accepted, if any.  It is for
    federations whose sites refuse records that others accept (``aggregation.guard``).
    """
    # A site that has granted accepts nothing below any more.  So whoever told of no acceptance has
    # accepted nothing there, and never will: only the others, and those not heard, can have.
    silent = set(roster) - told.keys()
    may_have = silent | {vendor for vendor, each in told.items() if each and vendor in roster}
    # f of a quorum may lie, and tell of no acceptance though it has one.
    honest = quorum_size(len(roster), quorum) - liars_withstood(len(roster), quorum)
    return len(may_have) < honest


def without_tie(told: Mapping[str, Accepted | None]) -> set[str]:
    """Return the most vendors whose grants name one record under the highest attempt.

    ``told`` has for each vendor that granted the record that it has accepted, if any.
    """
    highest = max((each.attempt for each in told.values() if each), default=NONE_SEEN)
    named = sorted({each.record for each in told.values() if each and each.attempt == highest})
    others = [
        {vendor for vendor, each in told.items() if each and each == Accepted(highest, one)}
        for one in named
    ]
    return told.keys() - set().union(*others) | max(others, key=len, default=set())


def silent_through(
    reports: Mapping[str, Votes], roster: Collection[str], quorum: Quorum
) -> int | None:
    """Return the last term in which a forgetful site must not vote.

    Returns None if the site must hear from more vendors first.  ``reports`` are the votes of the
    *other* sites in their open terms, received after the loss.
    """
    remembering = {vendor: votes for vendor, votes in reports.items() if not votes.forgetful}
    if not has_quorum(remembering, roster, quorum):
        return None
    # This site can have voted in a term only after a quorum had accepted the record before it.
    # That quorum and the one heard here share a vendor, and this vendor either still shows that
    # record as accepted in the term before (hence + 1) or is already in the later term.
    return max(votes.term + (1 if votes.accepted else 0) for votes in remembering.values())


def has_quorum(voters: Collection[str], roster: Collection[str], quorum: Quorum) -> bool:
    """Return whether ``voters`` are enough of the roster to decide; ignore voters outside it."""
    return len(set(voters) & set(roster)) >= quorum_size(len(roster), quorum)


def _require(reason: Refusal | None) -> None:
    if reason is not None:
        raise ValueError(f"refused: {reason}")
