"""A site as a witness: it notes what vendors sign, and tells who contradicts itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from sqlite3 import Connection

from srflm_flower.site.edition_standing import Standing
from srflm_flower.site.evidence.signed_votes import (
    evidence,
    hear_evidence,
    look_for_evidence,
    note_in,
)
from srflm_flower.site.ledger import TermLedger
from strategies.protocol.equivocation import said_in_proposal
from strategies.protocol.evidence_nouns import Evidence
from strategies.protocol.records import Proposal
from strategies.protocol.signatures import Keys


@dataclass(frozen=True)
class Witness:
    """The evidence at one site, whose ``standing`` is between editions."""

    ledger: TermLedger
    keys: Keys
    standing: Standing

    def told(self) -> tuple[Evidence, ...]:
        """Return the evidence against vendors of the deciding edition, for the other sites."""
        return evidence(self.ledger, self.standing.editions.last.federation)

    def hear(self, told: Iterable[Evidence]) -> None:
        """Keep the evidence that another site tells, if its signatures are genuine."""
        hear_evidence(self.ledger, told, self.standing.editions.last, self.keys)

    def note_in(self, db: Connection, proposal: Proposal) -> None:
        """Note what a proposal shows, in the transaction that stores its acceptance."""
        term, told = proposal.record.term, said_in_proposal(proposal)
        note_in(db, self.standing.editions.at(term), term, told, self.keys)

    def note_refused(self, proposal: Proposal) -> None:
        """Note a record that this site has refused: its server has signed it all the same."""
        record, edition = proposal.record, self.standing.editions.last
        is_next = (record.federation, record.term) == (edition.federation, len(self.ledger) + 1)
        if edition.keys and is_next:
            with self.ledger.deciding() as db:
                self.note_in(db, proposal)
            self.look(record.term)

    def look(self, term: int) -> None:
        """Look for contradictions in all that was noted of a term."""
        look_for_evidence(self.ledger, self.standing.editions.at(term), term, self.keys)
