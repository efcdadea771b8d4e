"""Models that claim a hash which is not theirs, as a liar or a fault on the way would send them."""

from __future__ import annotations

from strategies.weights import Model, Weights


def false_model(weights: Weights, name: str) -> Model:
    """Return ``weights`` as a model that claims the hash ``name``."""
    model = Model.of(weights)
    model.__dict__["hash"] = name  # where the cached property keeps it
    return model
