"""Delete what a site keeps for an open term only, once the term is committed."""

from __future__ import annotations

from collections.abc import Iterable

from clients.models.model_store import ModelStore
from srflm_flower.site.released_so_far import released_so_far
from srflm_flower.site.state import SiteState


def tidy(
    state: SiteState, models: ModelStore, head_term: int, newest: Iterable[str], metric: str
) -> None:
    """Delete updates, notes and models that no term after ``head_term`` needs.

    ``newest`` are the hashes of the newest models; ``metric`` chooses the model that is released.
    """
    state.forget_updates()
    state.secure_notes.forget_through(head_term)
    state.answered.forget_through(head_term)
    ledger, kept = state.ledger, set(newest)
    release = released_so_far(ledger, metric)
    if release is not None:
        kept.add(release.model)
    accepted, proposed = ledger.accepted(head_term + 1), ledger.proposal(head_term + 1)
    if accepted is not None:
        kept.add(accepted.record.model)
    if proposed is not None:
        kept |= {proposed[1].record.model, proposed[1].record.averaged_model}
    models.keep_only(kept)
