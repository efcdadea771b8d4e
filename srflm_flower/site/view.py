"""A site's view of the federation, as its ledger has it."""

from __future__ import annotations

from srflm_flower.site.edition_standing import Standing
from srflm_flower.site.evidence.signed_votes import not_obeyed
from srflm_flower.site.ledger import TermLedger
from strategies.election import among
from strategies.protocol.admission import View


def view_of(ledger: TermLedger, standing: Standing, first_ranking: tuple[str, ...]) -> View:
    """Return what the site with this ledger and standing knows about the federation.

    ``first_ranking`` is the order in which the vendors serve the first term.
    """
    head = ledger.last()
    term = head.term if head is not None else 0
    deciding = standing.editions.at(term + 1)
    return View(
        federation=deciding.federation,
        head_term=term,
        # After a recovery the head ranks vendors that are lost.
        ranking=among(deciding.roster, head.ranking if head is not None else first_ranking),
        attempt=ledger.votes(term + 1).granted,
        others=standing.known,
        liars=not_obeyed(ledger, deciding.federation),
    )
