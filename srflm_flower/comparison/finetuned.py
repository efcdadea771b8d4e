"""SRFLM with three quarters of the steps, then fine-tuning at home with the last quarter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clients.training import Work
from srflm_flower.comparison.baselines.baseline import Problem
from srflm_flower.comparison.baselines.fedavg_finetuned import (
    HOME_SHARE,
    epoch_of,
    epochs_of,
    steps_of_turn,
)
from srflm_flower.comparison.rotating import client_steps, run_rotating
from srflm_flower.comparison.scoring import Outcome, sites_of
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.comparison.tampering import Tampering
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.federation.personalised import HomeTrainingSettings
from srflm_flower.run.folder import RunFolder


def problem(federation: Federation) -> Problem | None:
    """Return the reason why a federation has no such comparison: steps at home need no ε."""
    if not federation.privacy.private:
        return None
    return Problem(
        "method srflm-finetuned in a federation with a [privacy] table",
        "a method that takes its steps within the agreed schedule",
        "leave it out of --methods, and set [personalised.fine-tuning] in the file: method srflm"
        " then trains at home, which costs no ε",
    )


def with_same_training(federation: Federation) -> Federation:
    """Return the federation with the settings of its training for that at home, too."""
    fields = HomeTrainingSettings.model_fields
    same = {name: getattr(federation.training, name) for name in fields}
    return with_changes(federation, personalised__fine_tuning=same)


def run_finetuned(
    run: RunFolder,
    federation: Federation,
    budget: StepBudget,
    tampering: Tampering | None = None,
) -> Outcome:
    """Run SRFLM at three quarters of the budget's steps; then each vendor takes its last quarter.

    These start from the released model, as FedAvg's do in ``fedavg-finetuned``.
    """
    rounds = len(budget.rounds)
    before = StepBudget(
        rounds=tuple(
            {vendor: steps_of_turn(budget, vendor, number) for vendor in each}
            for number, each in enumerate(budget.rounds, 1)
        )
    )
    sites = sites_of(run, federation)
    clients = {
        site.vendor: max(1, (steps := client_steps(site)) - steps // HOME_SHARE) for site in sites
    }
    plan = before.for_other_servers(clients)
    outcome, _ = run_rotating("srflm-finetuned", run, federation, plan, tampering)
    if outcome.released is None:  # an attacked run that has ended early
        return outcome
    rate = federation.term_plan().learning_rate_in(rounds)
    quarters = {v: steps_of_turn(budget, v, rounds + 1) for v in federation.roster}
    # With few steps a round, one of them may be too many for a quarter: then it is missing here.
    home = in_proportion(max(0, budget.total - outcome.steps), quarters)
    for site in sites:
        pieces = [Work(rate, 1, each) for each in epochs_of(home[site.vendor], epoch_of(site))]
        site.personalisation.fine_tune(site.home.complete(outcome.released), rounds, pieces)
    return replace(outcome, steps=outcome.steps + sum(home.values()))


def in_proportion(steps: int, parts: Mapping[str, int]) -> dict[str, int]:
    """Divide ``steps`` among vendors in the proportion of their ``parts``; the sum is exact."""
    found, so_far, whole = {}, 0, sum(parts.values())
    for vendor, part in parts.items():
        before, so_far = so_far, so_far + part
        found[vendor] = steps * so_far // whole - steps * before // whole if whole else 0
    return found
