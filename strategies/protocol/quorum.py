"""At most one outcome a term: single-decree Paxos among the vendors' sites.  Pure rules.

The value that is agreed on is a term record, named here by its hash.  A ballot number is an
**attempt**: attempt ``a`` belongs to one vendor, ``ranking[a mod N]`` of the previous record, so no
two vendors ever propose under the same one.  Attempt 0 belongs to the elected server and, being
the lowest, needs no votes: nothing can have been accepted before it.

* A site *grants* an attempt only if it has granted no higher one, stores the grant before it
  answers, and tells which record it has accepted.
* A server with the grants of a majority proposes the record that was accepted under the highest
  attempt, or its own if there is none; it stores the proposal before it sends it, and never
  proposes two records under one attempt.
* A site *accepts* a record only under an attempt at least as high as any that it has granted.
* A record is *committed* once a majority has accepted it under one attempt.
* A site that may have forgotten a promise takes no part in votes until it has heard from a majority
  of the others which term can have been open when it lost its state, and that term is over.

(Lamport, "Paxos made simple", 2001.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from strategies.protocol.records import majority

NONE_SEEN = -1
"""The highest attempt of a site that has seen none in the term."""

Refusal = Literal["outvoted", "forgetful", "two-outcomes"]


@dataclass(frozen=True)
class Accepted:
    """A record (its hash) that a site has accepted, and under which attempt."""

    attempt: int
    record: str


@dataclass(frozen=True)
class Votes:
    """What a site keeps about the open term; durable before the site answers.

    ``granted`` is the highest attempt that it has granted or accepted.  A ``forgetful`` site has
    lost its state, or was restored from a copy, and may have promised more in this term.
    """

    term: int
    granted: int = NONE_SEEN
    accepted: Accepted | None = None
    forgetful: bool = False


def owner(attempt: int, ranking: Sequence[str]) -> str:
    """Return the vendor to which ``attempt`` belongs."""
    return ranking[attempt % len(ranking)]


def own_attempt(vendor: str, ranking: Sequence[str], at_least: int) -> int:
    """Return the lowest attempt from ``at_least`` on that belongs to ``vendor``."""
    place = ranking.index(vendor)
    return at_least + (place - at_least) % len(ranking)


def refusal(votes: Votes, attempt: int, record: str | None = None) -> Refusal | None:
    """Return why a site must not grant ``attempt``, or not accept ``record`` under it."""
    if votes.forgetful:
        return "forgetful"
    if attempt < votes.granted:
        return "outvoted"
    accepted = votes.accepted
    if record and accepted and (accepted.attempt, accepted.record) != (attempt, record):
        return "two-outcomes" if accepted.attempt == attempt else None
    return None


def grant(votes: Votes, attempt: int) -> Votes:
    """Return the votes of a site that promises to obey nobody below ``attempt``.

    Raises ValueError where :func:`refusal` gives a reason.
    """
    _require(refusal(votes, attempt))
    return replace(votes, granted=attempt)


def accept(votes: Votes, attempt: int, record: str) -> Votes:
    """Return the votes of a site that accepts ``record`` under ``attempt``.

    Raises ValueError where :func:`refusal` gives a reason.
    """
    _require(refusal(votes, attempt, record))
    return replace(votes, granted=attempt, accepted=Accepted(attempt, record))


def must_propose(grants: Iterable[Accepted | None]) -> Accepted | None:
    """Return what the grants of a majority oblige their server to propose; None leaves it free."""
    return max((each for each in grants if each), key=lambda each: each.attempt, default=None)


def silent_through(reports: Mapping[str, Votes], roster: Collection[str]) -> int | None:
    """Return the last term in which a forgetful site must not vote; None: it must hear from more.

    ``reports`` are the votes of the *other* sites in their next terms, heard after the loss.
    Whoever voted in a term knew that a majority had accepted the record before it; of any majority
    heard, one still shows that record as accepted, or has gone on to the term.
    """
    remembering = {vendor: votes for vendor, votes in reports.items() if not votes.forgetful}
    if not has_majority(remembering, roster):
        return None
    return max(votes.term + (1 if votes.accepted else 0) for votes in remembering.values())


def has_majority(voters: Collection[str], roster: Collection[str]) -> bool:
    """Return whether ``voters`` are a majority of the roster; others do not count."""
    return len(set(voters) & set(roster)) >= majority(len(roster))


def _require(reason: Refusal | None) -> None:
    if reason is not None:
        raise ValueError(f"refused: {reason}")
