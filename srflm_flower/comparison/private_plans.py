"""Differential privacy in a comparison: every method gets a plan of its own for the same budget.

The noise in the federation file is for SRFLM with the file's seed.  Another seed divides simulated
data differently, and a baseline has no server role, so each method and seed is planned here.
Every vendor in every method may spend ``privacy.epsilon`` at ``privacy.delta``; the privacy ledgers
of the run enforce this budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clients.privacy.accounting.planning import Schedule, plan
from clients.settings import FileData
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.federation.preflight import count_examples
from srflm_flower.privacy.plan import plan_federation, sizes


def at_seed(federation: Federation, seed: int) -> Federation:
    """Return the federation with another seed, and with sizes and noise to match if private."""
    changed = with_changes(federation, seed=seed)
    if not changed.privacy.private:
        return changed
    # For comparisons only: a hospital's public size must not be its exact number of records.
    counted = {} if isinstance(changed.data, FileData) else count_examples(changed)
    own: dict[str, dict[str, Any]] = {
        vendor: {"size": counted[vendor].train if vendor in counted else size}
        for vendor, size in sizes(changed).items()
    }
    return planned_again(_with(changed, own))


def planned_again(federation: Federation) -> Federation:
    """Return the federation with the noise that its vendors need; unchanged if not private."""
    if not federation.privacy.private:
        return federation
    planned = plan_federation(federation)
    noise = {
        vendor: {"client_noise": each.client_noise, "server_noise": each.server_noise}
        for vendor, each in planned.plans.items()
    }
    return with_changes(_with(federation, noise), privacy__server_terms=planned.server_terms)


def for_baseline(federation: Federation, budget: StepBudget) -> Federation:
    """Return the federation with the noise that each vendor needs for the steps of ``budget``."""
    if not federation.privacy.private:
        return federation
    steps = {v: sum(each.get(v, 0) for each in budget.rounds) for v in federation.roster}
    return _with(federation, _noise_for(federation, steps))


def for_fixed_server(federation: Federation, server: str) -> Federation:
    """Return the federation for a run in which ``server`` serves in every round."""
    privacy, rounds = federation.privacy, federation.run.rounds
    if not privacy.private:
        return federation
    steps = dict.fromkeys(federation.roster, rounds * privacy.client_steps)
    steps[server] = rounds * privacy.server_steps
    unlimited = with_changes(federation, privacy__server_terms=None)
    return _with(unlimited, _noise_for(federation, steps))


def _noise_for(federation: Federation, steps: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Return for each vendor the noise, equal in both roles, with which ``steps`` fit the budget.

    Vendors without steps are left out.
    """
    privacy, found = federation.privacy, {}
    for vendor, size in sizes(federation).items():
        if steps[vendor]:
            # One round with all the steps: ε depends on their number only, not on the rounds.
            schedule = Schedule(size, privacy.batch_size, steps[vendor], 1, 1, 0)
            noise = plan(schedule, privacy.epsilon, privacy.delta).client_noise
            found[vendor] = {"client_noise": noise, "server_noise": noise}
    return found


def _with(federation: Federation, changes: Mapping[str, Mapping[str, Any]]) -> Federation:
    """Return the federation with fields of its vendors replaced."""
    vendors = [
        member.model_dump(mode="python") | dict(changes.get(member.name, {}))
        for member in federation.vendors
    ]
    return with_changes(federation, vendors=vendors)
