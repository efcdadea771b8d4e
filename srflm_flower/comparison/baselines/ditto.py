"""Ditto: a global model by FedAvg, and an own one that is drawn to it (Li et al., ICML 2021)."""

from __future__ import annotations

from typing import Final

from flwr.serverapp.strategy import FedAvg

from clients.guidance import Guidance
from srflm_flower.comparison.baselines.baseline import Baseline, Done, Turn, needs_plain_training

LAMBDA: Final = 0.1
"""λ of the term λ/2·‖v − w‖²: a constant, chosen before any result was seen."""


def train_both(turn: Turn) -> Done:
    """Train the global model with half of the steps, and the own model v with the other half.

    v goes on from the last round's; it is drawn to the global model w as it was received
    (algorithm 1).  Of an odd number the global model gets the step more.
    """
    own_steps = turn.steps // 2
    shared = turn.train(turn.start, turn.steps - own_steps)
    guidance = Guidance(anchor=turn.start)
    own = turn.train(turn.own, own_steps, proximal=LAMBDA, guidance=guidance, piece=1)
    steps = shared.steps + own.steps
    return Done(own.weights, shared.weights, shared.loss, shared.examples, steps)


DITTO: Final = Baseline(
    lambda setup: FedAvg(), train=train_both, problem=needs_plain_training("ditto")
)
