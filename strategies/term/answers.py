"""Read the vendors' answers: check their updates and average their metrics."""

from __future__ import annotations

from collections.abc import Mapping

from flwr.app import MetricRecord

from strategies.errors import UpdateRejected
from strategies.protocol.messages import Answer
from strategies.protocol.records import VendorMetrics
from strategies.weights import Model, Weights, check_like


def checked_update(answer: Answer, template: Weights) -> Model:
    """Return the update in ``answer``; raises :class:`UpdateRejected` if it is not usable."""
    model = answer.models.get(answer.reply.update)
    if model is None:
        raise UpdateRejected(
            "a reply whose update is missing or cannot be decoded",
            "one model, named as the reply says",
            "install the same version of srflm-flower at every site",
        )
    # Raises UpdateRejected itself, with the array that does not fit.
    check_like(model.weights, template)
    return model


def mean_metrics(metrics: Mapping[str, VendorMetrics]) -> MetricRecord:
    """Return the mean over vendors of every metric of every model, as ``model-metric``."""
    values: dict[str, list[float]] = {}
    for vendor_metrics in metrics.values():
        for model, named in vendor_metrics.model_dump().items():
            for name, value in named.items():
                values.setdefault(f"{model}-{name}", []).append(value)
    # A metric undefined at a vendor is missing there: divide by the vendors that have it.
    return MetricRecord({name: sum(seen) / len(seen) for name, seen in values.items()})
