"""Run SRFLM in memory: as the file has it, or with another rule of who serves."""

from __future__ import annotations

from clients.training import batches
from srflm_flower import client_app
from srflm_flower.comparison.meter import Meter, not_to_itself
from srflm_flower.comparison.result import Method
from srflm_flower.comparison.scoring import Outcome, released_by, sites_of
from srflm_flower.comparison.step_budget import StepBudget, budget_of
from srflm_flower.federation.federation import Federation
from srflm_flower.run.conduct import Run
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.ledger import Ledger
from srflm_flower.run.memory_grid import MemoryGrid
from srflm_flower.site.site import Site
from strategies.term.plan import StepPlan


def run_rotating(
    method: Method, run: RunFolder, federation: Federation, steps: StepPlan | None = None
) -> tuple[Outcome, StepBudget]:
    """Conduct the run in its folder; return its outcome and the steps that it took."""
    meter = Meter(not_to_itself(federation.roster))
    grid = MemoryGrid(client_app.app, len(federation.roster), run.path, meter.deliver)
    Run(run, federation, meter.observe, steps).conduct(grid)
    budget = budget_of(Ledger(run.ledger, federation.hash).records())
    return Outcome(method, run, federation, released_by(run), budget.total, meter), budget


def run_with_other_servers(
    method: Method, run: RunFolder, federation: Federation, budget: StepBudget
) -> Outcome:
    """Run SRFLM with another rule of who serves, at the budget's steps in every round."""
    steps = {site.vendor: client_steps(site) for site in sites_of(run, federation)}
    plan = budget.for_other_servers(steps)
    return run_rotating(method, run, federation, plan)[0]


def client_steps(site: Site) -> int:
    """Return the number of gradient steps that a vendor takes in a round as a client."""
    if site.federation.privacy.private:
        return site.federation.privacy.client_steps
    training = site.federation.training
    return training.client_epochs * batches(len(site.learner.data.train), training.batch_size)
