"""How a vendor comes to its personalised model: what it tries on its own validation data.

It tries each model that it gets or trains, and, where moving averages are kept, that of the
committed global models and that of its own local ones.  None of it leaves the site.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from clients.models.model_store import ModelStore
from srflm_flower.site.state import Best, SiteState
from strategies.protocol.records import Metrics, TermRecord
from strategies.weights import Weights


@dataclass(frozen=True)
class Personalisation:
    """``evaluate`` measures a model on the vendor's validation data; ``metric`` decides.

    ``decay`` is that of the moving averages; 0: none is kept.
    """

    state: SiteState
    evaluate: Callable[[Weights], Metrics]
    metric: str
    decay: float

    def consider(self, weights: Weights, term: int, origin: str) -> Metrics:
        """Keep ``weights`` if they are the best so far; return their metrics."""
        metrics = self.evaluate(weights)
        self.state.keep_if_better(Best(weights, metrics, term, origin), self.metric)
        return metrics

    def consider_local(self, weights: Weights, term: int) -> None:
        """Try what was trained on the vendor's own data, and its moving average."""
        self.consider(weights, term, "local")
        if not self.decay:
            return
        average = self.state.local_average.take_in([(term, weights)], self.decay)
        if average is not None and average.models > 1:
            self.consider(average.weights, average.term, "local-average")

    def consider_global(self, models: Iterable[tuple[int, Weights | None]]) -> None:
        """Take global models with their terms into their moving average, and try that."""
        if not self.decay:
            return
        average = self.state.average.take_in(models, self.decay)
        if average is not None:
            self.consider(average.weights, average.term, "average")


def stored_models(
    records: Iterable[TermRecord], store: ModelStore
) -> Iterable[tuple[int, Weights | None]]:
    """Return the committed models of ``records`` with their terms, as far as they are stored."""
    return ((record.term, store.find(record.model)) for record in records)
