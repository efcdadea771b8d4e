"""The choice of the global model that a baseline releases, by the rule of SRFLM."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from flwr.app import ArrayRecord, MetricRecord, RecordDict

from clients.models.moving_average import MovingAverage, advanced
from srflm_flower.comparison import baseline_app
from strategies.weights import Weights, from_arrays


def as_received(weights: Weights) -> Weights:
    """Return the weights: the server has the whole model."""
    return weights


@dataclass
class BestGlobal:
    """Keeps the global model that SRFLM would release: the best by mean validation metric.

    Until a model has the metric, the latest model is kept; with ``decay``, the moving average.
    ``whole`` adds the weights that the server does not have.
    """

    decay: float = 0.0
    whole: Callable[[Weights], Weights] = as_received
    weights: Weights | None = None
    best: float = float("-inf")
    latest: float | None = None
    evaluated: bool = False
    average: MovingAverage | None = None

    def aggregate(self, replies: list[RecordDict], weighted_by: str) -> MetricRecord:
        """Return the unweighted mean over the vendors for which the metric is defined."""
        records = [next(iter(reply.metric_records.values())) for reply in replies]
        values = [float(str(record[baseline_app.SELECTED])) for record in records]
        defined = [value for value in values if math.isfinite(value)]
        self.latest = sum(defined) / len(defined) if defined else None
        self.evaluated = True
        return MetricRecord({"mean": self.latest} if self.latest is not None else {})

    def consider(self, server_round: int, arrays: ArrayRecord) -> None:
        """Consider ``arrays`` for release if they have just been evaluated."""
        if not self.evaluated:  # Flower also calls this before the first round
            return
        weights, value = self.whole(from_arrays(arrays)), self.latest
        if self.decay:
            self.average = advanced(self.average, weights, server_round, self.decay)
            self.weights = self.average.weights
        elif value is None and self.best == float("-inf"):
            self.weights = weights
        elif value is not None and value > self.best:
            self.best, self.weights = value, weights
        self.latest, self.evaluated = None, False
