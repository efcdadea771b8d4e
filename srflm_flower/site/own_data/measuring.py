"""Measure the models of a term on a vendor's own data; keep the best one for the vendor itself."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from clients.learner import Learner
from clients.models.model_store import ModelStore
from srflm_flower.site.own_data.personalisation import Personalisation
from srflm_flower.site.own_data.released_metrics import PERSONALISED, released_metrics
from strategies.protocol.messages import EvaluateModels
from strategies.protocol.records import Metrics
from strategies.weights import Model


def measure(
    asked: EvaluateModels,
    models: Mapping[str, Model],
    learner: Learner,
    store: ModelStore,
    own: Personalisation,
) -> dict[str, Metrics]:
    """Evaluate the ``models`` (by hash) that are asked for; return the metrics that may leave.

    These cost privacy where they are released with noise.  Models of an open term are tried as the
    vendor's ``own``.
    """
    term, metrics, shares = asked.envelope.term, dict[str, Metrics](), dict[str, torch.Tensor]()
    if asked.select:
        own.train_alone(term)
    for name, hash_ in asked.models.items():
        model = models[hash_]
        weights = own.home.complete(model.weights)
        evaluated = learner.measure(weights, asked.split)
        metrics[name], shares[name] = evaluated.metrics, evaluated.shares
        if asked.select:
            store.put(model)
            # Fine-tuning is the training of the vendor that serves.
            trained = (name, asked.envelope.server) == ("finetuned", learner.vendor)
            at_home = trained and not own.joins and own.training_counts
            own.try_measured(weights, evaluated, term, name, at_home)
    best = own.state.best()
    if best is not None:
        chosen_on = asked.split == "validation"
        metrics[PERSONALISED] = (
            best.metrics if chosen_on else learner.evaluate(best.weights, asked.split)
        )
    return released_metrics(learner, metrics, shares, asked.split, term)
