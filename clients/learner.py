"""A vendor that learns: its data, the agreed network, and the work it is asked to do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from clients.checkpoint import Checkpoint
from clients.data.vendor_data import SplitName, VendorData
from clients.evaluation import evaluate
from clients.networks import get_weights, set_weights
from clients.seeds import derive_seed
from clients.settings import TrainingSettings
from clients.training import Work, train
from srflm_flower.weights import Weights


@dataclass(frozen=True)
class Trained:
    """What local work gives: new weights, the mean training loss, examples n_v, gradient steps."""

    weights: Weights
    loss: float
    examples: int
    steps: int


@dataclass(frozen=True)
class Learner:
    """Trains and evaluates one vendor's data.

    ``network`` is scratch space: every call loads the weights that it is given, so learners of
    one process may share it.
    """

    vendor: str
    data: VendorData
    network: nn.Module
    settings: TrainingSettings
    seed: int
    device: torch.device
    half_precision: bool = True

    def train(
        self,
        weights: Weights,
        work: Work,
        role: str,
        round_number: int,
        checkpoint: Checkpoint | None = None,
    ) -> Trained:
        """Train ``weights`` on the vendor's own data.

        The result depends on nothing but the arguments and the seed: doing it again after a crash
        gives the same weights, and so does going on from a ``checkpoint``.  Raises
        :class:`srflm_flower.errors.TrainingDiverged`.
        """
        set_weights(self.network, weights)
        seed = derive_seed(self.seed, "train", self.vendor, role, round_number)
        loss = train(
            self.network,
            self.data.train,
            work,
            self.settings,
            seed,
            self.device,
            self.half_precision,
            checkpoint,
        )
        examples = len(self.data.train)
        steps = work.gradient_steps(examples, self.settings.batch_size)
        return Trained(get_weights(self.network), loss, examples, steps)

    def evaluate(self, weights: Weights, split: SplitName) -> dict[str, float]:
        """Return the metrics of ``weights`` on one of the vendor's own splits."""
        set_weights(self.network, weights)
        return evaluate(self.network, self.data.split(split), self.device)
