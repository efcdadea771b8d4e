"""A site's view of the federation, and what its next record builds on, as its ledger has them."""

from __future__ import annotations

from dataclasses import dataclass

from srflm_flower.site.edition_standing import Standing
from srflm_flower.site.evidence.signed_votes import not_obeyed_in
from srflm_flower.site.ledger import TermLedger, recovery_in
from strategies.election import ranking_after
from strategies.protocol.admission import View
from strategies.protocol.records import Edition, Recovery, TermRecord
from strategies.protocol.roster_change import Editions
from strategies.protocol.signatures import Keys
from strategies.protocol.signed_answers import check_signed_answers


def view_of(ledger: TermLedger, standing: Standing, first_ranking: tuple[str, ...]) -> View:
    """Return what the site with this ledger and standing knows about the federation.

    ``first_ranking`` is the order in which the vendors serve the first term.
    """
    with ledger.reading() as db:
        head = ledger.head_in(db)
        term = head.term if head is not None else 0
        deciding = standing.editions.at(term + 1)
        votes, liars = ledger.votes_in(db, term + 1), not_obeyed_in(db, deciding.federation)
    return View(
        federation=deciding.federation,
        head_term=term,
        ranking=ranking_after(head, first_ranking, deciding.roster),
        attempt=votes.granted,
        others=standing.known,
        liars=liars,
    )


@dataclass(frozen=True)
class Base:
    """What a record of the next term builds on.

    ``head`` is the last record (None before the first term) and ``recovery`` the one from it, if
    any.  ``edition`` decides the next term, and ``ranking`` is the succession in it.
    """

    head: TermRecord | None
    recovery: Recovery | None
    edition: Edition
    ranking: tuple[str, ...]

    def check_signed(self, record: TermRecord, keys: Keys) -> None:
        """Check that the vendors have signed the figures that ``record`` quotes.

        Raises :class:`strategies.errors.MessageRefused`.
        """
        if self.edition.keys:  # in a simulation nobody signs
            check_signed_answers(record, self.head, self.ranking, keys.at(self.edition))


def base_of(ledger: TermLedger, first: Edition, first_ranking: tuple[str, ...]) -> Base:
    """Return what the next record builds on at the site with this ledger.

    ``first`` is the edition of the first term, in which the vendors serve by ``first_ranking``.
    """
    with ledger.reading() as db:  # all at once: a commit in between would mix two terms
        head = ledger.head_in(db)
        term = head.term if head is not None else 0
        edition, recovery = (
            Editions(first, ledger.changes_in(db)).at(term + 1),
            recovery_in(db, term),
        )
    return Base(head, recovery, edition, ranking_after(head, first_ranking, edition.roster))
