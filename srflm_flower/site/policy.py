"""What a site decides for itself, and its part in the protocol under that policy."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict

from srflm_flower.federation.federation import Federation
from srflm_flower.site.ledger import TermLedger
from srflm_flower.site.participant import Genesis, Participant
from strategies.protocol.signatures import Keys
from strategies.settings import Settings


class SitePolicy(Settings):
    """The site's own policy, which no federation or server can override."""

    shares_personalised: bool = Field(
        default=False,
        description="Whether this site sends its personalised model to a server that asks for it.",
    )
    runs_from: Annotated[tuple[str, ...], Strict(False)] | None = Field(
        default=None,
        description="Vendors whose run orders this site follows; left out, all members.",
    )
    guards: bool = Field(
        default=True,
        description="Whether this site refuses terms by the federation's aggregation.guard; false"
        " lets a term pass that the guards of too many sites refuse.",
    )


def participant_of(
    vendor: str,
    federation: Federation,
    initial: str,
    ledger: TermLedger,
    keys: Keys,
    policy: SitePolicy | None,
) -> Participant:
    """Return the vendor's part in the protocol; ``initial`` is the hash of the initial model.

    A site with a policy takes part in a term only under a run order; a simulated one has neither.
    """
    genesis = Genesis(
        edition=federation.first_edition,
        ranking=federation.first_ranking,
        model=initial,
        recovered=frozenset(each.hash for each in federation.recovered or ()),
    )
    obeys = policy.runs_from if policy is not None else None
    own, needs_order = federation.as_edition, policy is not None
    return Participant(vendor, genesis, ledger, keys, own, obeys, needs_order)
