"""Training at home alone: the model that each vendor would have without a federation."""

from __future__ import annotations

from typing import Final

from srflm_flower.comparison.baselines.baseline import Baseline, Done, Turn
from srflm_flower.site.site import Site
from strategies.baselines.local_only import LocalOnly


def everything(site: Site) -> frozenset[str]:
    """Return the names of all weights."""
    return frozenset(site.first)


def train_alone(turn: Turn) -> Done:
    """Go on with the own model, and send nothing."""
    trained = turn.train(turn.start, turn.steps)
    return Done(trained.weights, None, trained.loss, trained.examples, trained.steps)


LOCAL: Final = Baseline(
    lambda setup: LocalOnly(), train=train_alone, at_home=everything, has_global=False
)
