"""Aggregate the vendors' updates: by one of four rules of Flower's own, or by an agreed entry.

* ``mean``: the unweighted mean of docs/explanation/method.md, step 2.
* ``weighted-mean``: FedAvg, weighted by examples (McMahan et al., AISTATS 2017).
* ``trimmed-mean``: Yin et al., ICML 2018.
* ``krum``: Blanchard et al., NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from flwr.app import Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg, FedTrimmedAvg, Krum

from strategies.errors import ConfigurationError
from strategies.extensions import AGGREGATIONS, load_entry
from strategies.flower_private import message_without_superlink
from strategies.settings import AggregationSettings
from strategies.weights import Weights, check_like, from_arrays, to_arrays

_WEIGHT = "weight"


@dataclass(frozen=True)
class Update:
    """One vendor's weights after its local work, and the number of examples behind them."""

    weights: Weights
    examples: int


def aggregate(updates: Mapping[str, Update], settings: AggregationSettings) -> Weights:
    """Return the aggregate of ``updates`` (vendor → update) by the rule in ``settings``.

    Raises ValueError without any update.
    """
    if not updates:
        raise ValueError("there is nothing to aggregate: found no update, expected at least one")
    if settings.rule == "entry":
        return _by_entry(updates, settings)
    # Equal weights turn Flower's weighted mean into the unweighted one.
    weighted = settings.rule == "weighted-mean"
    pairs = [(each.weights, each.examples if weighted else 1) for each in updates.values()]
    return _by_flower(pairs, settings)


def joined(
    averaged: Weights,
    fine_tuned: Weights,
    clients: Sequence[int],
    server: int,
    weighted: bool,
    lengths: float,
) -> Weights:
    """Return the mean of the clients' models and the one that the server has fine-tuned.

    ``averaged`` is the clients' mean; ``clients`` and ``server`` are numbers of training examples.
    With m clients the result is W̄ + q·(W_s − W̄), q = min(1 / (m + 1), ``lengths`` / m), where
    ``lengths`` is a client's length of training over the server's; it is the same by examples where
    it is ``weighted``.  So no vendor's training moves the model further than another's, as in
    FedNova (Wang et al., NeurIPS 2020): each client's counts 1 / m in W̄.
    """
    behind, own = (sum(clients), server) if weighted else (len(clients), 1)
    q = min(own / (behind + own), lengths * own / behind)
    pairs = [(averaged, 1 - q), (fine_tuned, q)]
    return _by_flower(pairs, AggregationSettings(rule="weighted-mean"))


def _by_flower(pairs: Iterable[tuple[Weights, float]], settings: AggregationSettings) -> Weights:
    """Return what Flower's rule makes of models and their weights in the mean."""
    replies = [_as_reply(weights, weight) for weights, weight in pairs]
    arrays, _ = _flower_rule(settings).aggregate_train(0, replies)
    if arrays is None:
        raise ValueError("Flower's aggregation returned no arrays")
    return from_arrays(arrays)


def _by_entry(updates: Mapping[str, Update], settings: AggregationSettings) -> Weights:
    """Return what code of others makes of the updates, if it is a model like them."""
    assert settings.entry is not None  # AggregationSettings checks it
    rule, name = load_entry(AGGREGATIONS, settings.entry), settings.entry.name
    like = next(iter(updates.values())).weights
    try:
        found = rule(dict(updates), **settings.entry.options)
        made = {each: np.asarray(array) for each, array in dict(found).items()}
    except Exception as error:  # code of others raises anything
        raise ConfigurationError(
            f"the aggregation {name!r}, which failed ({type(error).__name__})",
            "a rule that takes every set of usable updates",
            "ask who has written it, or choose another aggregation.rule",
        ) from error
    check_like(made, like)
    return {each: made[each] for each in like}  # in the order of the network


def _flower_rule(settings: AggregationSettings) -> FedAvg:
    match settings.rule:
        case "mean" | "weighted-mean":
            return FedAvg(weighted_by_key=_WEIGHT)
        case "trimmed-mean":
            return FedTrimmedAvg(weighted_by_key=_WEIGHT, beta=settings.trim)
        case "krum":
            return Krum(weighted_by_key=_WEIGHT, num_malicious_nodes=settings.faulty)
        case "entry":
            raise ValueError("an entry is no rule of Flower's")


def _as_reply(weights: Weights, weight: float) -> Message:
    """Return a model as the reply message that Flower's strategies expect."""
    content = RecordDict(
        {
            "arrays": to_arrays(weights),
            "metrics": MetricRecord({_WEIGHT: float(weight)}),
        }
    )
    return message_without_superlink(content, "train")
