"""A learner without data or network, for tests of the protocol."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch

from clients.evaluation import Evaluated
from clients.learner import Trained
from clients.training import Work
from strategies.weights import Weights


@dataclass(frozen=True)
class InstantLearner:
    """Adds a small number, which depends on the work, to every weight."""

    vendor: str
    trained: Counter[tuple[str, int, str]]
    number: int
    spender: None = None

    @property
    def data(self) -> Any:
        """Return data with ten examples in every split."""
        return SimpleNamespace(split=lambda name: range(10))

    def train(
        self,
        weights: Weights,
        work: Work,
        role: str,
        round_number: int,
        checkpoint: object = None,
        term: int = 0,
    ) -> Trained:
        """Count the call; return weights that differ by vendor, role, and round."""
        self.trained[self.vendor, round_number, role] += 1
        step = 1e-3 * (self.number + 1) * round_number + (1e-5 if role == "server" else 0.0)
        moved = {name: array + array.dtype.type(step) for name, array in weights.items()}
        return Trained(moved, 1.0 / (self.number + round_number), 10 + self.number, 3)

    def evaluate(self, weights: Weights, split: str) -> dict[str, float]:
        """Return an accuracy that depends on the weights."""
        first = float(next(iter(weights.values())).flat[0])
        return {"accuracy": abs(first) % 1.0, "loss": 1.0}

    def patient_scores(self, weights: Weights, split: str) -> tuple[float, ...]:
        """Return the score of the only patient."""
        return (self.evaluate(weights, split)["accuracy"],)

    def measure(self, weights: Weights, split: str) -> Evaluated:
        """Return the same accuracy, which is its own share."""
        metrics = self.evaluate(weights, split)
        return Evaluated(metrics, torch.tensor([metrics["accuracy"]]))
