"""Two signatures of one vendor that no honest site gives: evidence that it lies.  Pure rules.

A site keeps its votes before it answers, so it accepts at most one record under an attempt, and a
grant names what it has accepted under the highest attempt below.  As a server it makes one record
under an attempt, and as a client it trains once for it.  Whoever breaks one of these leaves two
signatures that contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from strategies.protocol.evidence_nouns import Acceptance, ClientWork, Evidence, Said
from strategies.protocol.messages import Envelope
from strategies.protocol.quorum import Accepted
from strategies.protocol.records import Committed, Grant, Proposal, TermRecord
from strategies.protocol.signatures import (
    Keys,
    acceptance_statement,
    forged,
    grant_statement,
    record_statement,
)
from strategies.protocol.signed_answers import work_statement

# ---- votes -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SignedVote:
    """A vendor's vote in one term.

    ``granted`` is the attempt of a grant, and None in an acceptance; ``accepted`` is what it says
    that it has accepted, if anything.
    """

    vendor: str
    granted: int | None
    accepted: Accepted | None


def contradict(one: SignedVote, other: SignedVote) -> bool:
    """Return whether one site that remembers its votes cannot have given both in one term."""
    if one.vendor != other.vendor:
        return False
    if one.accepted and other.accepted and one.accepted.attempt == other.accepted.attempt:
        return one.accepted.record != other.accepted.record
    return _forgets(one, other.accepted) or _forgets(other, one.accepted)


def _forgets(grant: SignedVote, accepted: Accepted | None) -> bool:
    """Return whether a grant promises what forbids ``accepted``, and does not name it."""
    # After the grant the site accepts nothing below its attempt, so it had accepted that before.
    # Under the attempt itself it may accept afterwards, and grant the same attempt once more.
    if grant.granted is None or accepted is None or accepted.attempt >= grant.granted:
        return False
    return grant.accepted is None or grant.accepted.attempt < accepted.attempt


def liars(votes: Iterable[SignedVote]) -> set[str]:
    """Return the vendors of whom two votes in one term contradict each other."""
    return {one.vendor for one, other in combinations(votes, 2) if contradict(one, other)}


# ---- what has been signed ----------------------------------------------------------------------


def said_in_proposal(proposal: Proposal) -> Iterator[tuple[str, Said]]:
    """Yield (vendor, signed vote) for all that a proposal shows: record, ballots, grants."""
    record = proposal.record
    yield record.server, Said(record=proposal.model_copy(update={"proof": ()}))
    for vendor, answers in (record.signed or {}).items():
        for told in answers.work:
            # A server that was killed may fine-tune another average, so only clients' work counts.
            if told.role == "client" and vendor != record.server:
                work = ClientWork(attempt=record.attempt, server=record.server, told=told)
                yield vendor, Said(ballot=work)
    for level in proposal.proof:
        for grant in level:
            yield grant.vendor, Said(grant=grant)


def said_in_committed(committed: Committed) -> Iterator[tuple[str, Said]]:
    """Yield (vendor, signed vote) for all that a committed record shows."""
    record, certificate = committed.record, committed.certificate
    yield from said_in_proposal(Proposal(record=record, signature=certificate.proposal))
    for vendor, signature in certificate.acceptances.items():
        told = Acceptance(
            record=record,
            attempt=certificate.attempt,
            signature=signature,
            log=certificate.logs.get(vendor),
        )
        yield vendor, Said(acceptance=told)


def said_in_vote(grant: Grant, accepted: Proposal | None) -> Iterator[tuple[str, Said]]:
    """Yield (vendor, signed vote) for a grant and the accepted proposal that comes with it."""
    yield grant.vendor, Said(grant=grant)
    if accepted is not None:
        yield from said_in_proposal(accepted)


# ---- evidence ----------------------------------------------------------------------------------


def find_evidence(
    vendor: str, federation: str, term: int, said: Iterable[Said], keys: Keys
) -> list[Evidence]:
    """Return two votes that contradict each other, and two ballots, if there are.

    ``keys`` are those of the edition ``federation``.
    """
    found: dict[bool, Evidence] = {}
    for one, other in combinations(said, 2):
        pair = Evidence(vendor=vendor, federation=federation, term=term, one=one, other=other)
        # One of each kind: two ballots must not hide two votes, which weigh more.
        if pair.is_of_votes not in found and _is_contradiction(pair) and _is_genuine(pair, keys):
            found[pair.is_of_votes] = pair
    return list(found.values())


def check_evidence(evidence: Evidence, keys: Keys) -> None:
    """Check what another vendor tells; ``keys`` are those of the evidence's edition.

    Raises :class:`strategies.errors.MessageRefused`.
    """
    if not _is_contradiction(evidence):
        raise forged(f"two votes of {evidence.vendor!r} that do not contradict each other")
    if not _is_genuine(evidence, keys):
        raise forged(f"evidence that {evidence.vendor!r} has not signed")


def is_genuine(said: Said, vendor: str, federation: str, term: int, keys: Keys) -> bool:
    """Return whether ``vendor`` has signed this in a term of the edition ``federation``."""
    return keys.verify(vendor, *_statement(said, vendor, federation, term))


def _is_genuine(evidence: Evidence, keys: Keys) -> bool:
    of = evidence.vendor, evidence.federation, evidence.term
    return all(is_genuine(each, *of, keys) for each in (evidence.one, evidence.other))


def _statement(said: Said, vendor: str, federation: str, term: int) -> tuple[bytes, str]:
    if said.record is not None:
        return record_statement(said.record.record), said.record.signature
    if said.acceptance is not None:
        told = said.acceptance
        statement = acceptance_statement(vendor, told.record, told.attempt, told.log)
        return statement, told.signature
    if said.grant is not None:
        return grant_statement(federation, term, said.grant), said.grant.signature
    assert said.ballot is not None
    asked, work = said.ballot, said.ballot.told
    envelope = Envelope(
        federation=federation, term=term, attempt=asked.attempt, server=asked.server
    )
    statement = work_statement(envelope, vendor, work.round, work.role, work.ballot, work.steps)
    return statement, work.signature


def _is_contradiction(evidence: Evidence) -> bool:
    one, other = evidence.one, evidence.other
    if one.record is not None and other.record is not None:
        first, second = one.record.record, other.record.record
        made = _is_made_by(first, evidence) and _is_made_by(second, evidence)
        return made and first.attempt == second.attempt and first.hash != second.hash
    if one.ballot is not None and other.ballot is not None:
        return _trained_twice(one.ballot, other.ballot)
    votes = [_vote(each, evidence) for each in (one, other)]
    return None not in votes and bool(liars(each for each in votes if each is not None))


def _is_made_by(record: TermRecord, of: Evidence) -> bool:
    return _is_of_term(record, of) and record.server == of.vendor


def _is_of_term(record: TermRecord, of: Evidence) -> bool:
    return (record.federation, record.term) == (of.federation, of.term)


def _trained_twice(one: ClientWork, other: ClientWork) -> bool:
    # The signature covers the attempt and its server, so both are the vendor's own words.
    asked = {(each.attempt, each.server, each.told.round, each.told.role) for each in (one, other)}
    told = {(each.told.ballot.model_dump_json(), each.told.steps) for each in (one, other)}
    return len(asked) == 1 and one.told.role == "client" and len(told) == 2


def _vote(said: Said, of: Evidence) -> SignedVote | None:
    if said.grant is not None and said.grant.vendor == of.vendor:
        told = said.grant
        named = Accepted(told.accepted_attempt, told.accepted) if told.accepted else None
        return SignedVote(of.vendor, told.attempt, named)
    if said.acceptance is not None and _is_of_term(said.acceptance.record, of):
        accepted = Accepted(said.acceptance.attempt, said.acceptance.record.hash)
        return SignedVote(of.vendor, None, accepted)
    return None
