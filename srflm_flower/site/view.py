"""A site's view of the federation, as its ledger has it."""

from __future__ import annotations

from srflm_flower.site.edition_standing import Standing
from srflm_flower.site.evidence.signed_votes import not_obeyed_in
from srflm_flower.site.ledger import TermLedger
from strategies.election import ranking_after
from strategies.protocol.admission import View


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
