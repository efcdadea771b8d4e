"""Run SRFLM in memory: as the file has it, or with another rule of who serves."""

from __future__ import annotations

from clients.training import batches
from srflm_flower import client_app
from srflm_flower.comparison.meter import Meter, not_to_itself
from srflm_flower.comparison.result import Method
from srflm_flower.comparison.scoring import Outcome, released_by, sites_of
from srflm_flower.comparison.step_budget import StepBudget, budget_of
from srflm_flower.comparison.tampering import Tampering
from srflm_flower.federation.federation import Federation
from srflm_flower.run.conduct import ConductedRun
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.ledger import Ledger
from srflm_flower.run.memory_grid import MemoryGrid
from srflm_flower.site.site import Site
from strategies.errors import FederationStopped
from strategies.term.plan import StepPlan


def run_rotating(
    method: Method,
    run: RunFolder,
    federation: Federation,
    steps: StepPlan | None = None,
    tampering: Tampering | None = None,
) -> tuple[Outcome, StepBudget]:
    """Conduct the run in its folder; return its outcome and the steps that it took.

    With ``tampering``, a federation that stops has an outcome, too: the terms until then.
    """
    stopped = ""
    if tampering is not None:
        tampering.before(sites_of(run, federation))
    meter = Meter(not_to_itself(federation.roster))
    grid = MemoryGrid(client_app.app, len(federation.roster), run.path, meter.deliver)
    try:
        ConductedRun(run, federation, meter.observe, steps).conduct(grid)
    except FederationStopped as error:
        if tampering is None:
            raise
        stopped = error.code
    budget = budget_of(Ledger(run.ledger, federation.hash).records())
    # A run that has stopped may have released no model.
    released = None if stopped and not run.global_model.exists() else released_by(run)
    outcome = Outcome(
        method,
        run,
        federation,
        released,
        budget.total,
        meter,
        tampering=tampering,
        stopped=stopped,
    )
    return outcome, budget


def run_with_other_servers(
    method: Method,
    run: RunFolder,
    federation: Federation,
    budget: StepBudget,
    tampering: Tampering | None = None,
) -> Outcome:
    """Run SRFLM with another rule of who serves, at the budget's steps in every round."""
    steps = {site.vendor: client_steps(site) for site in sites_of(run, federation)}
    plan = budget.for_other_servers(steps)
    return run_rotating(method, run, federation, plan, tampering)[0]


def client_steps(site: Site) -> int:
    """Return the number of gradient steps that a vendor takes in a round as a client."""
    if site.federation.privacy.private:
        return site.federation.privacy.client_steps
    training = site.federation.training
    return training.client_epochs * batches(len(site.learner.data.train), training.batch_size)
