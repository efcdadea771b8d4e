"""Vendors of a simulated run that lie: an attacker takes their sites over from outside.

No site knows of this: the simulation's own objects are changed, in its own memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch

from clients.evaluation import predictions
from clients.files.checkpoint import Checkpoint
from clients.learner import Learner, Trained
from clients.networks.weights import set_weights
from clients.training import Work
from srflm_flower.attacks.poisoned_records import PoisonedRecords
from srflm_flower.attacks.poisoning import (
    LIES,
    TARGET,
    Attack,
    Lie,
    flipped,
    stamped,
    with_backdoor,
)
from srflm_flower.site.site import Site
from strategies.settings import Role
from strategies.weights import Weights


@dataclass(frozen=True, kw_only=True)
class LyingLearner(Learner):
    """A learner that trains as it should, and sends something else."""

    lie: Lie

    def train(
        self,
        weights: Weights,
        work: Work,
        role: Role,
        round_number: int,
        checkpoint: Checkpoint | None = None,
        term: int = 0,
    ) -> Trained:
        """Train as :class:`Learner`; return what the lie makes of the weights."""
        trained = super().train(weights, work, role, round_number, checkpoint, term)
        return replace(trained, weights=self.lie(weights, trained.weights))


@dataclass(frozen=True)
class TakenOver:
    """An attack on a simulated run (:class:`srflm_flower.comparison.tampering.Tampering`)."""

    attack: Attack

    def before(self, sites: Sequence[Site]) -> None:
        """Take over the last vendors' sites; it must be done before they first train."""
        lying = self.attack.liars(tuple(site.vendor for site in sites))
        for site in sites:
            if site.vendor in lying:
                site.learner = lying_learner(site.learner, self.attack)
                site.guard = None  # a liar accepts its own model

    def success(self, sites: Sequence[Site], released: Weights) -> float | None:
        """Return the share of honest vendors' test images that the trigger leads to its class.

        Images of that class do not count.  None for an attack without a trigger.
        """
        if self.attack.kind != "backdoor":
            return None
        lying = self.attack.liars(tuple(site.vendor for site in sites))
        # Each vendor uses the model with its own normalisation, if that stays at home.
        found = [
            fooled(site.learner, site.home.complete(site.home.shared(released)))
            for site in sites
            if site.vendor not in lying
        ]
        led, tried = (sum(each) for each in zip(*found, strict=True))
        return led / tried if tried else None


def lying_learner(learner: Learner, attack: Attack) -> Learner:
    """Return a learner that lies as ``attack`` says; its validation and test data stay true."""
    if attack.kind in LIES:
        honest = {each.name: getattr(learner, each.name) for each in fields(learner) if each.init}
        return LyingLearner(**honest, lie=LIES[attack.kind])
    train, classes = learner.data.train, learner.task.settings.outputs
    # Every other one: images of a class often follow each other, so no class is left out.
    half = torch.arange(len(train)) % 2 == 0
    poisoned = (
        PoisonedRecords(train, with_backdoor, half)
        if attack.kind == "backdoor"
        else PoisonedRecords(train, lambda b, _: (b[0], flipped(b[1], classes)), half)
    )
    return replace(learner, data=replace(learner.data, train=poisoned))


def fooled(learner: Learner, weights: Weights) -> tuple[int, int]:
    """Return how many of a vendor's test images the trigger leads to its class, and of how many."""
    test = learner.data.test
    everything = torch.ones(len(test), dtype=torch.bool)
    triggered = PoisonedRecords(test, lambda b, _: (stamped(b[0]), b[1]), everything)
    set_weights(learner.network, weights)
    led = tried = 0
    for outputs, cases in predictions(learner.network, triggered, learner.device):
        others = cases.targets != TARGET
        led += int((outputs.argmax(1)[others] == TARGET).sum())
        tried += int(others.sum())
    return led, tried
