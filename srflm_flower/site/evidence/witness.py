"""A site as a witness: it notes what vendors sign, and tells who contradicts itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from srflm_flower.site.edition_standing import Standing
from srflm_flower.site.evidence.signed_votes import (
    evidence,
    hear_evidence,
    look_for_evidence,
    note_in,
)
from srflm_flower.site.ledger import TermLedger
from strategies.protocol.evidence_nouns import Evidence, Said
from strategies.protocol.records import Proposal
from strategies.protocol.signatures import Keys, record_statement


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

    def note_refused(self, proposal: Proposal) -> None:
        """Note a record that this site has refused: its server has signed it all the same."""
        record, edition = proposal.record, self.standing.editions.last
        is_next = (record.federation, record.term) == (edition.federation, len(self.ledger) + 1)
        keys = self.keys.at(edition)
        if (
            edition.keys
            and is_next
            and keys.verify(record.server, record_statement(record), proposal.signature)
        ):
            with self.ledger.deciding() as db:
                # Nobody has checked the ballots and the grants that it shows.
                made = Said(record=proposal.model_copy(update={"proof": ()}))
                note_in(db, record.federation, record.term, [(record.server, made)])
            self.look(record.term)

    def look(self, term: int) -> None:
        """Look for contradictions in all that was noted of a term."""
        look_for_evidence(self.ledger, self.standing.editions.at(term), term, self.keys)
