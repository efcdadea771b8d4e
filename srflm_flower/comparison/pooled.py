"""Train on the pooled data of all vendors, as a reference: no federation may pool its data."""

from __future__ import annotations

from dataclasses import replace

from clients.data.joined import join
from clients.data.vendor_data import SPLITS, VendorData
from clients.training import Work
from srflm_flower.comparison.meter import Meter
from srflm_flower.comparison.scoring import Outcome, on_test, sites_of
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.federation.federation import Federation
from srflm_flower.run.folder import RunFolder


def run_pooled(run: RunFolder, federation: Federation, budget: StepBudget) -> Outcome:
    """Take the round's steps of all vendors on their joined data; nothing is sent."""
    sites, meter = sites_of(run, federation), Meter()
    first = sites[0].learner
    pooled = VendorData(*(join([s.learner.data.split(name) for s in sites]) for name in SPLITS))
    learner = replace(first, vendor="pooled", data=pooled, spender=None)
    settings, metric = federation.training, federation.task.metric
    weights = best = sites[0].first
    best_value, spent = float("-inf"), 0
    for round_number in range(1, federation.run.rounds + 1):
        rate = federation.term_plan().learning_rate_in(round_number)
        work = Work(rate, settings.client_epochs, budget.in_round(round_number))
        trained = learner.train(weights, work, "client", round_number)
        weights, spent = trained.weights, spent + trained.steps
        value = learner.evaluate(weights, "validation").get(metric, float("-inf"))
        if value > best_value:
            best, best_value = weights, value
    meter.stop()
    own = on_test(dict.fromkeys(sites, best))
    return Outcome("pooled", run, federation, best, spent, meter, own)
