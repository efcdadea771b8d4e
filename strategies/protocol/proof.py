"""Why a server may propose a record under an attempt: grants that anybody can check.  Pure rules.

A server needs the grants of a quorum, and must propose the record that they name as accepted
under the highest attempt.  A site that lies could name a record that nobody has proposed to it: so
a named record needs grants of its own, for the attempt under which it was accepted, and so on down
to the attempt under which it was made.

Where sites refuse records that harm (``aggregation.guard``), a record that too few have accepted
would bind every later server, and nobody could serve the term.  There, grants that show that it was
not committed oblige to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from strategies.errors import MessageRefused
from strategies.protocol.quorum import (
    Accepted,
    TwoRecords,
    has_quorum,
    must_propose,
    none_committed,
    owner,
)
from strategies.protocol.records import Edition, Grant, Proposal
from strategies.protocol.signatures import Keys, check_proposal, forged, is_signed


def check_proof(
    proposal: Proposal, attempt: int, edition: Edition, ranking: tuple[str, ...], keys: Keys
) -> None:
    """Check that ``proposal.proof`` lets its record be proposed under ``attempt``.

    ``ranking`` is the succession in the record's term, and ``edition`` decides it.  Raises
    :class:`MessageRefused`.
    """
    record, levels = proposal.record, list(proposal.proof)
    # Attempt 0 is the lowest: nothing can have been accepted before it, so it needs no grants.
    while attempt > 0:
        grants = _valid(levels.pop(0) if levels else (), record.term, attempt, edition, keys)
        if not has_quorum({grant.vendor for grant in grants}, edition.roster, edition.quorum):
            raise forged(f"attempt {attempt} at term {record.term} with {len(grants)} valid grants")
        told = {
            each.vendor: Accepted(each.accepted_attempt, each.accepted) if each.accepted else None
            for each in grants
        }
        if edition.guarded and none_committed(told, edition.roster, edition.quorum):
            break  # the record that they name was refused by too many
        try:
            due = must_propose(told.values())
        except TwoRecords as error:
            raise _not_obliged() from error
        if due is None:
            break
        # A quorum may have committed that record already: another one would fork the ledger.
        if due.record != record.hash or due.attempt >= attempt:
            raise _not_obliged()
        attempt = due.attempt
    # Free, the server proposes a record of its own; it may have made it under an earlier attempt.
    if owner(attempt, ranking) != record.server or record.attempt > attempt or levels:
        raise _not_obliged()


def check_vote(
    grant: Grant,
    accepted: Proposal | None,
    term: int,
    edition: Edition,
    ranking: tuple[str, ...],
    keys: Keys,
) -> None:
    """Check a vendor's vote: its signature, and the record that it says it has accepted.

    Raises :class:`MessageRefused`.
    """
    if not _valid([grant], term, grant.attempt, edition, keys):
        raise forged(f"a grant that {grant.vendor!r} has not signed")
    if grant.accepted != (accepted.record.hash if accepted is not None else ""):
        raise _not_obliged()
    if accepted is not None:
        if accepted.record.term != term:
            raise _not_obliged()
        check_proposal(accepted, keys)
        check_proof(accepted, grant.accepted_attempt, edition, ranking, keys)


def _valid(
    grants: Iterable[Grant], term: int, attempt: int, edition: Edition, keys: Keys
) -> list[Grant]:
    """Return the grants of ``attempt`` that a vendor of the roster has signed, one each."""
    found = {
        grant.vendor: grant
        for grant in grants
        if grant.attempt == attempt
        and grant.vendor in edition.roster
        and is_signed(edition.federation, term, grant, keys)
    }
    return list(found.values())


def _not_obliged() -> MessageRefused:
    return MessageRefused(
        "another record than the one that the shown grants name",
        "the record accepted under the highest attempt, with the grants for it",
        "look into the server that proposed it, or the site that says it has accepted it",
        MessageRefused.RECORD,
    )
