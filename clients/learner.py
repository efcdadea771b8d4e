"""Train and evaluate the agreed network on one vendor's data, privately if the settings say so."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from clients.data.vendor_data import SplitName, VendorData
from clients.evaluation import Evaluated, evaluate
from clients.files.checkpoint import Checkpoint
from clients.networks.weights import get_weights, set_weights
from clients.preparation.augmentation import Augment
from clients.privacy.ledger.spending import Spender
from clients.privacy.training.training import train_privately
from clients.privacy.training.units import patients_of, scores_by_patient
from clients.seeds import derive_seed
from clients.settings import TrainingSettings
from clients.tasks.task import Task
from clients.training import Work, train
from strategies.settings import Role
from strategies.weights import Weights, hash_weights

MOST_MEASURED = 32
"""Results of evaluations that are kept: those of a few terms."""


@dataclass(frozen=True)
class Trained:
    """Result of local training: new weights, mean loss, examples n_v, gradient steps."""

    weights: Weights
    loss: float
    examples: int
    steps: int


@dataclass(frozen=True)
class Learner:
    """Trains and evaluates models on one vendor's data; with a ``spender``, privately."""

    vendor: str
    data: VendorData
    # Scratch space: every call loads its own weights first, so learners may share a network.
    network: nn.Module
    task: Task
    settings: TrainingSettings
    seed: int
    device: torch.device
    half_precision: bool = True
    spender: Spender | None = None
    augment: Augment | None = None  # in plain training only
    _measured: dict[tuple[str, SplitName], Evaluated] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def train(
        self,
        weights: Weights,
        work: Work,
        role: Role,
        round_number: int,
        checkpoint: Checkpoint | None = None,
        term: int = 0,
    ) -> Trained:
        """Train ``weights`` on the vendor's own data.

        The result depends on the arguments and the seed only: repeating it after a crash, or
        continuing from a ``checkpoint``, gives the same weights. Private training is different
        every time, and each time spends budget. Raises
        :class:`strategies.errors.TrainingDiverged` and :class:`strategies.errors.PrivacyError`.
        """
        set_weights(self.network, weights)
        if self.spender is not None:
            return self._train_privately(self.spender, work, role, term, round_number)
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
            self.task.loss,
            self.augment,
        )
        examples = len(self.data.train)
        steps = work.gradient_steps(examples, self.settings.batch_size)
        return Trained(get_weights(self.network), loss, examples, steps)

    def _train_privately(
        self, spender: Spender, work: Work, role: Role, term: int, round_number: int
    ) -> Trained:
        """Train by the agreed mechanism; the result holds noisy or public numbers only."""
        if not work.guidance.is_plain:  # its sensitivity was never looked at
            raise ValueError("private training takes no anchor, correction, or frozen layers")
        with spender.spending(role, term, round_number) as mechanism:
            outcome = train_privately(
                self.network,
                self.data.train,
                mechanism,
                spender.settings,
                self.settings,
                work.learning_rate,
                self.device,
                groups=patients_of(self.data.train) if spender.budget.unit == "patient" else None,
                proximal=work.proximal,
                loss=self.task.loss,
            )
        # The public size, not the true number of records, which no noise protects.
        return Trained(get_weights(self.network), outcome.loss, spender.size, outcome.steps)

    def evaluate(self, weights: Weights, split: SplitName) -> dict[str, float]:
        """Return the metrics of ``weights`` on one of the vendor's own splits."""
        return self.measure(weights, split).metrics

    def patient_scores(self, evaluated: Evaluated, split: SplitName) -> tuple[float, ...]:
        """Return the mean score of each patient of the split on which a model was measured.

        Scores are in [0, 1], more is better.

        Without patients' names, each record is a patient of its own.
        """
        return scores_by_patient(evaluated.shares, self.data.split(split))

    def measure(self, weights: Weights, split: SplitName) -> Evaluated:
        """Evaluate ``weights`` on one of the vendor's own splits, each model once.

        Metrics that take long and choose no model are measured on test data only.
        """
        # The same models come again: as candidates, for the record, and as the start of a round.
        place = hash_weights(weights), split
        found = self._measured.pop(place, None)
        if found is None:
            set_weights(self.network, weights)
            data = self.data.split(split)
            found = evaluate(self.network, data, self.task, self.device, in_full=split == "test")
        self._measured[place] = found  # the last one is the newest
        while len(self._measured) > MOST_MEASURED:
            del self._measured[next(iter(self._measured))]
        return found
