"""Measure the models of a term on a vendor's own data; keep the best one for the vendor itself."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from clients.learner import Learner
from clients.models.model_store import ModelStore
from srflm_flower.site.own_data.home_weights import HomeWeights
from srflm_flower.site.own_data.released_metrics import PERSONALISED, released_metrics
from srflm_flower.site.state import Best, SiteState
from strategies.protocol.messages import EvaluateModels
from strategies.protocol.records import Metrics
from strategies.weights import Model


def measure(
    asked: EvaluateModels,
    models: Mapping[str, Model],
    learner: Learner,
    state: SiteState,
    store: ModelStore,
    metric: str,
    home: HomeWeights,
) -> dict[str, Metrics]:
    """Evaluate the ``models`` (by hash) that are asked for; return the metrics that may leave.

    These cost privacy where they are released with noise.  ``metric`` chooses the vendor's best
    model.
    """
    term, metrics, shares = asked.envelope.term, dict[str, Metrics](), dict[str, torch.Tensor]()
    for name, hash_ in asked.models.items():
        model = models[hash_]
        weights = home.complete(model.weights)
        evaluated = learner.measure(weights, asked.split)
        metrics[name], shares[name] = evaluated.metrics, evaluated.shares
        if asked.select:
            store.put(model)
            state.keep_if_better(Best(weights, metrics[name], term, name), metric)
    best = state.best()
    if best is not None:
        chosen_on = asked.split == "validation"
        metrics[PERSONALISED] = (
            best.metrics if chosen_on else learner.evaluate(best.weights, asked.split)
        )
    return released_metrics(learner, metrics, shares, asked.split, term)
