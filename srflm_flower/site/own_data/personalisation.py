"""The search for a vendor's personalised model among candidates, on its own validation data.

Candidates are the models that the vendor receives or trains and, where moving averages are kept,
the average of the committed global models and the average of its local models.  Nothing here sends
anything: the site decides whether the chosen model or its metrics may leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from clients.models.model_store import ModelStore
from srflm_flower.site.own_data.home_weights import HomeWeights
from srflm_flower.site.state import Best, SiteState
from strategies.protocol.records import Metrics, TermRecord
from strategies.weights import Weights


@dataclass(frozen=True)
class Personalisation:
    """The personalised model of one vendor.

    ``evaluate`` measures a model on the vendor's validation data; ``metric`` decides which model is
    better.  ``decay`` is that of the moving averages; with 0 no average is kept.
    """

    state: SiteState
    evaluate: Callable[[Weights], Metrics]
    metric: str
    decay: float
    home: HomeWeights

    def consider(self, weights: Weights, term: int, origin: str) -> Metrics:
        """Keep ``weights`` if they are the best so far; return their metrics."""
        weights = self.home.complete(weights)
        metrics = self.evaluate(weights)
        self.state.keep_if_better(Best(weights, metrics, term, origin), self.metric)
        return metrics

    def consider_local(self, weights: Weights, term: int) -> None:
        """Try the model trained on the vendor's own data, and the moving average of such models."""
        self.consider(weights, term, "local")
        if not self.decay:
            return
        average = self.state.local_average.take_in([(term, weights)], self.decay)
        if average is not None and average.models > 1:  # the average of one model is that model
            self.consider(average.weights, average.term, "local-average")

    def consider_global(self, models: Iterable[tuple[int, Weights | None]]) -> None:
        """Take global models with their terms into the moving average, and try the average."""
        if not self.decay:
            return
        average = self.state.average.take_in(models, self.decay)
        if average is not None:
            self.consider(average.weights, average.term, "average")


def stored_models(
    records: Iterable[TermRecord], store: ModelStore
) -> Iterable[tuple[int, Weights | None]]:
    """Return (term, committed model) for each record; None for a model that is not stored."""
    found = ((record.term, store.find(record.model)) for record in records)
    return ((term, model.weights if model is not None else None) for term, model in found)
