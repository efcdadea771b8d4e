"""The released model as a site knows it, brought up to date as its ledger grows."""

from __future__ import annotations

import json
from dataclasses import asdict

from clients.models.model_store import ModelStore
from srflm_flower.federation.federation import Federation
from srflm_flower.results.release import Release, averaged_through, better_of
from srflm_flower.site.ledger import TermLedger
from srflm_flower.site.state import SiteState
from strategies.weights import Weights

_NOTED = "released"


def released_so_far(ledger: TermLedger, metric: str) -> Release | None:
    """Return the released model of a site's ledger, or None while no term is committed."""
    # The ledger notes the last compared term and its winner, so that each record is read once.
    noted = ledger.fact(_NOTED)
    compared, kept = json.loads(noted) if noted else (0, None)
    best, through = Release(**kept) if kept else None, len(ledger)
    if through > compared:
        best = better_of(best, ledger.records(compared + 1), metric)
        ledger.set_fact(_NOTED, json.dumps((through, asdict(best) if best else None)))
    return best


def released_at(
    federation: Federation, state: SiteState, models: ModelStore
) -> tuple[Weights | None, Release | None]:
    """Return the released model and its description; with a moving average, the site's own.

    The model is None if the site lacks it, both are None before the first committed term.
    """
    ledger = state.ledger
    if federation.aggregation.moving_average and len(ledger):
        average = state.average.read()
        if average is None:
            return None, averaged_through(len(ledger))
        return average.weights, averaged_through(average.term)
    release = released_so_far(ledger, federation.task.metric)
    model = models.find(release.model) if release is not None else None
    return model.weights if model is not None else None, release
