"""FedAvg with three quarters of the steps, then fine-tuning at home with the last quarter."""

from __future__ import annotations

from typing import Final

from clients.training import batches
from srflm_flower.comparison.baselines.baseline import Baseline, Done, Turn, train_plainly
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.site.site import Site
from strategies.baselines.fedavg_finetuned import FedAvgFineTuned

HOME_SHARE: Final = 4
"""One step in so many is taken at home.  A quarter leaves FedAvg most of its rounds' work, and is
several epochs in a run of usual length; it was chosen before any result was seen."""


def steps_of_turn(budget: StepBudget, vendor: str, round_number: int) -> int:
    """Return a vendor's steps in a round, in which it leaves out one in four, or those at home.

    The steps left out are taken in the round after the last.  All turns have the budget's sum.
    """
    rounds = len(budget.rounds)
    if round_number > rounds:
        return budget.through(vendor, rounds) - _federated(budget, vendor, rounds)
    return _federated(budget, vendor, round_number) - _federated(budget, vendor, round_number - 1)


def _federated(budget: StepBudget, vendor: str, rounds: int) -> int:
    """Return the steps through a round without those at home."""
    # Of sums, so that no rounding gets lost, however few steps a round has.
    steps = budget.through(vendor, rounds)
    return steps - steps // HOME_SHARE


def train_or_fine_tune(turn: Turn) -> Done:
    """Train as FedAvg's client; in the round after the last, fine-tune and send nothing.

    Each fine-tuned epoch is a candidate for the personalised model.
    """
    if turn.round_number <= turn.site.federation.run.rounds:
        return train_plainly(turn)
    weights, pieces = turn.start, []
    for number, steps in enumerate(epochs_of(turn.steps, epoch_of(turn.site))):
        # A fresh optimiser for each epoch, as for each round.
        pieces.append(turn.train(weights, steps, piece=number))
        weights = pieces[-1].weights
    done = sum(each.steps for each in pieces)
    loss = sum(each.loss * each.steps for each in pieces) / max(done, 1)
    earlier = tuple(each.weights for each in pieces[:-1])
    return Done(weights, None, loss, pieces[-1].examples, done, earlier)


def epochs_of(steps: int, epoch: int) -> list[int]:
    """Divide steps into epochs, of which the last may be shorter; no steps are one empty epoch."""
    whole, rest = divmod(steps, epoch)
    return [epoch] * whole + ([rest] if rest or not whole else [])


def epoch_of(site: Site) -> int:
    """Return the gradient steps of an epoch; private training counts a client's round instead."""
    if site.federation.privacy.private:
        return site.federation.privacy.client_steps
    return batches(len(site.learner.data.train), site.federation.training.batch_size)


FEDAVG_FINETUNED: Final = Baseline(
    lambda setup: FedAvgFineTuned(setup.rounds),
    train=train_or_fine_tune,
    flower_rounds=lambda setup: setup.rounds + 1,
    steps=steps_of_turn,
)
