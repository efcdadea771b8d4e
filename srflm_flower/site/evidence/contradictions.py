"""Two certified records of one term: kept as evidence, with the names of those who signed both."""

from __future__ import annotations

from dataclasses import dataclass

from srflm_flower.site.evidence.signed_votes import note_committed_in
from srflm_flower.site.ledger import TermLedger, committed_in
from strategies.protocol.records import Committed


@dataclass(frozen=True)
class Contradiction:
    """A term of which a quorum has signed ``own``, which is in the ledger, and also ``other``."""

    own: Committed
    other: Committed

    @property
    def signed_both(self) -> tuple[str, ...]:
        """The vendors whose sites have accepted both records."""
        own, other = (each.certificate.acceptances for each in (self.own, self.other))
        return tuple(sorted(own.keys() & other.keys()))

    def __str__(self) -> str:
        one, two = self.own.record.hash, self.other.record.hash
        return (
            f"term {self.own.record.term} has two committed records, {one[:12]} (here) and"
            f" {two[:12]}; both are signed by {', '.join(self.signed_both) or 'nobody'}:"
            " keep all ledgers as they are, and see docs/how-to/failures.md"
        )


def keep_contradictions(ledger: TermLedger, told: tuple[Committed, ...]) -> None:
    """Keep those of ``told`` that contradict the ledger.

    The signatures on them are checked already.
    """
    if not told or told[0].record.term > len(ledger):
        return
    for other in told:
        own = ledger.committed(other.record.term, most=1)
        if own and own[0].record.term == other.record.term and own[0].record != other.record:
            record, certificate = other.record, other.certificate
            row = record.hash, record.term, record.model_dump_json(), certificate.model_dump_json()
            with ledger.deciding() as db:
                db.execute("INSERT OR IGNORE INTO contradictions VALUES (?, ?, ?, ?)", row)
                note_committed_in(db, other)


def contradictions(ledger: TermLedger) -> list[Contradiction]:
    """Return the contradictions that the site has found, the oldest term first."""
    with ledger.reading() as db:
        rows = db.execute(
            "SELECT record, certificate FROM contradictions ORDER BY term, hash"
        ).fetchall()
    others = [committed_in(*row) for row in rows]
    return [
        Contradiction(ledger.committed(other.record.term, most=1)[0], other) for other in others
    ]
