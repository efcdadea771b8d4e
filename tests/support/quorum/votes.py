"""The messages of a :class:`World`; which of them prove a record, and which prove that one lies.

A liar signs every vote that anybody asks for, whatever it names: that only helps whoever wants to
fork, as servers and sites choose which answers they show.  What it proposes as a server is a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, product
from typing import TYPE_CHECKING, Literal, NamedTuple

from strategies.protocol import quorum
from strategies.protocol.equivocation import SignedVote, liars
from strategies.protocol.quorum import Accepted
from strategies.protocol.records import quorum_size

if TYPE_CHECKING:
    from tests.support.quorum.world import World


class Message(NamedTuple):
    """What is sent; ``site`` says whose answer it is, -1 in what a server sends to all."""

    kind: Literal["open", "granted", "accept", "accepted", "committed"]
    term: int
    attempt: int = -1
    record: str = ""
    site: int = -1
    told: Accepted | None = None


def lies(message: Message, sent: Iterable[Message], by: Iterable[int]) -> set[Message]:
    """Return all votes that liars sign once ``message`` is known."""
    found = set()
    kind, term, attempt, record = message[:4]
    asked = [each for each in sent if each.term == term]
    if kind == "accept":
        opened = [each.attempt for each in asked if each.kind == "open" and each.attempt > attempt]
        for liar in by:
            found.add(Message("accepted", term, attempt, record, liar))
            told = Accepted(attempt, record)
            found |= {Message("granted", term, each, site=liar, told=told) for each in opened}
    if kind == "open":
        named = [e for e in asked if e.kind == "accept" and e.attempt < attempt]
        for liar in by:
            found.add(Message("granted", term, attempt, site=liar))
            for each in named:
                told = Accepted(each.attempt, each.record)
                found.add(Message("granted", term, attempt, site=liar, told=told))
    return found


def false_proposals(
    world: World, at: int, term: int, attempt: int, head: tuple[str, ...], sent: Iterable[Message]
) -> list[Message]:
    """Return what a liar may send as the server of its attempt: a question, and any record."""
    own = [">".join((*head[-1:], f"{world.vendor(at)}{attempt}{mark}")) for mark in ("", "'")]
    known = {each.record for each in sent if each.kind == "accept" and each.term == term}
    found = [Message("accept", term, attempt, record) for record in sorted(known.union(own))]
    return [Message("open", term, attempt), *found] if attempt else found


def maker(record: str) -> tuple[str, int]:
    """Return who made a record, and under which attempt."""
    own = record.split(">")[-1].rstrip("'")
    return own[0], int(own[1:])


def proofs(
    world: World, sent: Iterable[Message], term: int, named: Accepted
) -> Iterator[tuple[Message, ...]]:
    """Yield every way to prove that a record may be proposed under an attempt: grants."""
    attempt, record = named.attempt, named.record
    author, made = maker(record)
    mine = quorum.owner(attempt, world.ranking(term)) == author and made <= attempt
    if attempt == 0:
        if mine:
            yield ()
        return
    given: dict[int, list[Message]] = {}
    for each in sent:
        if (each.kind, each.term, each.attempt) == ("granted", term, attempt):
            given.setdefault(each.site, []).append(each)
    rules, most = world.rules, quorum_size(world.size, world.quorum)
    if rules.none_committed is not None:  # there, more grants than a quorum's may free a server
        most = world.size
    for size in range(1, most + 1):
        for sites in combinations(sorted(given), size):
            voters = [world.vendor(site) for site in sites]
            if not rules.has_quorum(voters, world.roster, world.quorum):
                continue
            for grants in product(*(given[site] for site in sites)):
                try:
                    due = world.must_propose(grants)
                except quorum.TwoRecords:
                    continue
                if due is None and mine:
                    yield grants
                elif due is not None and due.record == record and due.attempt < attempt:
                    for below in proofs(world, sent, term, due):
                        yield grants + below


def is_evident(world: World, sent: frozenset[Message], term: int) -> bool:
    """Return whether two committed records of a term always show that a liar has lied.

    Whoever shows them chooses the acceptances and the grants with which they are shown.
    """
    by: dict[Accepted, list[Message]] = {}
    for each in sent:
        if (each.kind, each.term) == ("accepted", term):
            by.setdefault(Accepted(each.attempt, each.record), []).append(each)
    needed = quorum_size(world.size, world.quorum)
    certified = [named for named, votes in by.items() if _vendors(world, votes) >= needed]
    for one, other in combinations(certified, 2):
        if one.record == other.record:
            continue
        shown = (
            {
                frozenset(vote for vote in each if vote.site in world.suspects)
                for each in _certificates(world, sent, term, named, by[named], needed)
            }
            for named in (one, other)
        )
        if not all(_liars(world, first | second) for first, second in product(*shown)):
            return False
    return True


def _certificates(
    world: World,
    sent: frozenset[Message],
    term: int,
    named: Accepted,
    votes: list[Message],
    needed: int,
) -> Iterator[tuple[Message, ...]]:
    for signers in combinations(votes, needed):
        if _vendors(world, signers) < needed:
            continue
        if not world.rules.keeps_proofs:
            yield signers
            continue
        for proof in proofs(world, sent, term, named):
            yield signers + proof


def _vendors(world: World, votes: Iterable[Message]) -> int:
    return len({world.vendor(vote.site) for vote in votes})


def slandered(world: World, sent: Iterable[Message]) -> str | None:
    """Return a vendor of which there is evidence, though it has not lied."""
    by_term: dict[int, set[Message]] = {}
    for each in sent:
        if each.kind in ("granted", "accepted") and each.site not in world.suspects:
            by_term.setdefault(each.term, set()).add(each)
    found = set[str]().union(*(_liars(world, each) for each in by_term.values()))
    return f"{min(found)} has not lied" if found else None


def _liars(world: World, votes: Iterable[Message]) -> set[str]:
    return liars([_signed(world, each) for each in votes])


def _signed(world: World, vote: Message) -> SignedVote:
    who = world.vendor(vote.site)
    if vote.kind == "accepted":
        return SignedVote(who, None, Accepted(vote.attempt, vote.record))
    return SignedVote(who, vote.attempt, vote.told)
