"""The settings that a site chooses for itself, and its part in the protocol under them."""

from __future__ import annotations

from dataclasses import dataclass

from srflm_flower.federation.federation import Federation
from srflm_flower.site.ledger import TermLedger
from srflm_flower.site.participant import Genesis, Participant
from strategies.protocol.signatures import Keys


@dataclass(frozen=True)
class SitePolicy:
    """The settings that a site chooses for itself.

    ``shares_best``: send the personalised model when asked.  ``obeys``: the vendors whose run
    orders the site follows; None means all.  ``needs_order``: take part in a term only under a run
    order.
    """

    shares_best: bool = True
    obeys: tuple[str, ...] | None = None
    needs_order: bool = False


def participant_of(
    vendor: str,
    federation: Federation,
    initial: str,
    ledger: TermLedger,
    keys: Keys,
    policy: SitePolicy,
) -> Participant:
    """Return the vendor's part in the protocol; ``initial`` is the hash of the initial model."""
    genesis = Genesis(
        edition=federation.first_edition,
        ranking=federation.first_ranking,
        model=initial,
    )
    own = federation.as_edition
    return Participant(vendor, genesis, ledger, keys, own, policy.obeys, policy.needs_order)
