"""SCAFFOLD's client, option II (Karimireddy et al., ICML 2020, algorithm 1)."""

from __future__ import annotations

from typing import Final

import numpy as np

from clients.guidance import Guidance
from srflm_flower.comparison.baselines.baseline import (
    Baseline,
    Done,
    Problem,
    Turn,
    needs_plain_training,
)
from srflm_flower.federation.federation import Federation
from strategies.baselines.scaffold import CONTROL, Scaffold
from strategies.weights import Weights, from_arrays, to_arrays


def train_corrected(turn: Turn) -> Done:
    """Add c − c_i to every gradient, then set c_i⁺ = c_i − c + (x − y) / (a·η), by option II.

    c and c_i are the control variates of the server and of the vendor, x and y the weights before
    and after, η the learning rate, and a the steps as :func:`effective_steps` counts them.
    """
    names = [name for name, _ in turn.site.learner.network.named_parameters()]
    zeros: Weights = {name: np.zeros_like(turn.start[name]) for name in names}
    kept = turn.memory.array_records.get(CONTROL)
    before = zeros if kept is None else from_arrays(kept)
    server = {**zeros, **turn.received.get(CONTROL, {})}
    correction: Weights = {name: server[name] - before[name] for name in names}
    trained = turn.train(turn.start, turn.steps, guidance=Guidance(correction=correction))
    momentum = turn.site.federation.training.momentum
    scale = turn.learning_rate * effective_steps(trained.steps, momentum)
    after: Weights = {
        # A vendor without steps has learnt nothing of its gradient.
        name: (turn.start[name] - trained.weights[name]) / np.float32(scale) - correction[name]
        if scale
        else before[name]
        for name in names
    }
    turn.memory[CONTROL] = to_arrays(after)
    change: Weights = {name: after[name] - before[name] for name in names}
    return Done(
        trained.weights,
        trained.weights,
        trained.loss,
        trained.examples,
        trained.steps,
        further={CONTROL: change},
    )


def effective_steps(steps: int, momentum: float) -> float:
    """Return a = Σ_{t=1…K} (1 − m^t) / (1 − m): a constant gradient g moves the weights by a·η·g.

    Without momentum it is the number K of steps, as in the paper, which has none.  With momentum m
    it is FedNova's factor (Wang et al., NeurIPS 2020, section 4.1): dividing by K would make the
    control variates up to 1 / (1 − m) times too large, and training diverge.
    """
    lasting = momentum * (1 - momentum**steps) / (1 - momentum)
    return (steps - lasting) / (1 - momentum)


def needs_sgd(federation: Federation) -> Problem | None:
    """Refuse private federations, and optimisers whose step is no multiple of the gradient."""
    private = needs_plain_training("scaffold")(federation)
    if private is not None or federation.training.optimizer == "sgd":
        return private
    return Problem(
        f'method scaffold with training.optimizer = "{federation.training.optimizer}"',
        '"sgd": the control variates are computed from the distance that plain gradients go',
        'leave scaffold out of --methods, or set training.optimizer = "sgd"',
    )


SCAFFOLD: Final = Baseline(
    lambda setup: Scaffold(),
    train=train_corrected,
    problem=needs_sgd,
)
