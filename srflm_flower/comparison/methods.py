"""Run one method on one seed, in memory, and score its models on the vendors' test splits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, get_args

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg, FedProx
from pydantic import BaseModel, ConfigDict

from clients.data.joined import join
from clients.data.vendor_data import SPLITS, VendorData
from clients.files.durable import write_durably
from clients.models.model_file import read_model_file
from clients.models.moving_average import MovingAverage, advanced
from clients.training import Work
from srflm_flower import client_app
from srflm_flower.comparison import baseline_app
from srflm_flower.comparison.private_plans import for_baseline, for_fixed_server
from srflm_flower.comparison.step_budget import StepBudget, budget_of
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.run.conduct import Run
from srflm_flower.run.folder import RunFolder, create_run_folder
from srflm_flower.run.ledger import Ledger
from srflm_flower.run.memory_grid import MemoryGrid
from srflm_flower.run.simulated_site import SimulatedSite
from srflm_flower.site.site import Site
from strategies.cyclic import CyclicWeightTransfer
from strategies.errors import FederationStopped
from strategies.local_only import LocalOnly
from strategies.weights import Weights, from_arrays, to_arrays

Method = Literal["srflm", "fedavg", "fedprox", "cyclic", "fixed-server", "local", "pooled"]
METHODS: tuple[Method, ...] = get_args(Method)


class MethodResult(BaseModel):
    """One method on one seed: test metrics, and the number of gradient steps that it took.

    ``personalised`` and ``global_own`` map each vendor to the metric of its personalised or of the
    global model on its own test split.  ``global_all`` is the global model's metric on all test
    splits together.  The global values are ``None`` for a method without a global model.
    ``epsilon`` is the largest ε in the vendors' ledgers, or ``None`` without privacy.  ``success``
    is that of an attack, and ``stopped`` the code of the error that ended an attacked run early.
    """

    model_config = ConfigDict(frozen=True)

    method: Method
    seed: int
    steps: int
    personalised: dict[str, float]
    global_own: dict[str, float] | None
    global_all: float | None
    epsilon: float | None = None
    success: float | None = None
    stopped: str = ""


class Tampering(Protocol):
    """What is done to the sites of a simulated run from outside, as an attack does."""

    def before(self, sites: Sequence[Site]) -> None:
        """Change the sites before they first train."""
        ...

    def success(self, sites: Sequence[Site], released: Weights) -> float | None:
        """Return how far the released model does as it was to be made to do, if that is known."""
        ...


def run_srflm(
    federation: Federation, folder: Path, tampering: Tampering | None = None
) -> tuple[MethodResult, StepBudget]:
    """Run SRFLM as configured; return its result and the step budget for the others.

    With ``tampering``, a federation that stops is a result, too.
    """
    run = create_run_folder(federation, folder, folder.parent, alone=True)
    stopped = ""
    if tampering is not None:
        tampering.before(_sites(run, federation))
    try:
        Run(run, federation).conduct(_grid(run, federation, client_app.app))
    except FederationStopped as error:
        if tampering is None:
            raise
        stopped = error.code
    budget = budget_of(Ledger(run.ledger, federation.hash).records())
    released = _released(run) if run.global_model.exists() else None
    result = _score("srflm", run, federation, released, budget.total, tampering=tampering)
    return result.model_copy(update={"stopped": stopped}), budget


def run_baseline(
    method: Method,
    federation: Federation,
    folder: Path,
    budget: StepBudget,
    proximal: float,
    tampering: Tampering | None = None,
) -> MethodResult:
    """Run a baseline with the gradient steps of ``budget``; privately if the federation is private.

    ``pooled`` is never private: it has no separate vendors to protect records from.  It and
    ``fixed-server`` are run without ``tampering``.
    """
    if method == "fixed-server":
        return _run_fixed_server(federation, folder, budget)
    federation = for_baseline(federation, budget)
    run = create_run_folder(federation, folder, folder.parent, alone=True)
    # The nodes know only the run's folder, so they read the budget from a file in it.
    write_durably(run.path / baseline_app.BUDGET_FILE, budget.model_dump_json().encode())
    if method == "pooled":
        return _run_pooled(run, federation, budget)
    vendors, rounds = len(federation.roster), federation.run.rounds
    keeper = BestGlobal(federation.aggregation.moving_average)
    # Cyclic transfer trains at one vendor in each of Flower's rounds.
    flower_rounds = vendors if method == "cyclic" else 1
    strategy: FedAvg
    match method:
        case "fedavg":
            strategy = FedAvg()
        case "fedprox":
            strategy = FedProx(proximal_mu=proximal)
        case "cyclic":
            strategy = CyclicWeightTransfer(vendors)
        case _:
            strategy = LocalOnly()
    if tampering is not None:
        tampering.before(_sites(run, federation))
    # After each round Flower calls this with the vendors' metrics, then evaluate_fn with the model.
    strategy.evaluate_metrics_aggr_fn = keeper.aggregate
    strategy.start(
        _grid(run, federation, baseline_app.app),
        to_arrays(_sites(run, federation)[0].initial.weights),
        num_rounds=rounds * flower_rounds,
        train_config=ConfigRecord({baseline_app.FLOWER_ROUNDS_A_ROUND: flower_rounds}),
        evaluate_fn=keeper.consider,
    )
    spent = (run.path / baseline_app.SPENT_FILE).read_text(encoding="utf-8").split()
    steps = sum(map(int, spent))
    return _score(method, run, federation, keeper.weights, steps, tampering=tampering)


def _run_fixed_server(federation: Federation, folder: Path, budget: StepBudget) -> MethodResult:
    server = federation.roster[0]
    planned = for_fixed_server(federation, server)
    fixed = with_changes(planned, election__policy="fixed", election__server=server)
    run = create_run_folder(fixed, folder, folder.parent, alone=True)
    steps = {site.vendor: baseline_app.client_steps(site) for site in _sites(run, fixed)}
    plan = budget.for_fixed_server(server, steps)
    Run(run, fixed, steps=plan).conduct(_grid(run, fixed, client_app.app))
    spent = budget_of(Ledger(run.ledger, fixed.hash).records()).total
    return _score("fixed-server", run, fixed, _released(run), spent)


def _run_pooled(run: RunFolder, federation: Federation, budget: StepBudget) -> MethodResult:
    """Train on the pooled data of all vendors, as a reference: no federation may pool its data."""
    sites = _sites(run, federation)
    first = sites[0].learner
    pooled = VendorData(*(join([s.learner.data.split(name) for s in sites]) for name in SPLITS))
    learner = replace(first, vendor="pooled", data=pooled, spender=None)
    settings, metric = federation.training, federation.task.metric
    weights = best = sites[0].initial.weights
    best_value, spent = float("-inf"), 0
    for round_number in range(1, federation.run.rounds + 1):
        rate = federation.term_plan().learning_rate_in(round_number)
        work = Work(rate, settings.client_epochs, budget.in_round(round_number))
        trained = learner.train(weights, work, "client", round_number)
        weights, spent = trained.weights, spent + trained.steps
        value = learner.evaluate(weights, "validation").get(metric, float("-inf"))
        if value > best_value:
            best, best_value = weights, value
    own = _on_test(dict.fromkeys(sites, best))
    return _score("pooled", run, federation, best, spent, own)


@dataclass
class BestGlobal:
    """Keeps the global model that SRFLM would release: the best by mean validation metric.

    Until a model has the metric, the latest model is kept; with ``decay``, the moving average.
    """

    decay: float = 0.0
    weights: Weights | None = None
    best: float = float("-inf")
    latest: float | None = None
    evaluated: bool = False
    average: MovingAverage | None = None

    def aggregate(self, replies: list[RecordDict], weighted_by: str) -> MetricRecord:
        """Return the unweighted mean over the vendors for which the metric is defined."""
        records = [next(iter(reply.metric_records.values())) for reply in replies]
        values = [float(str(record[baseline_app.SELECTED])) for record in records]
        defined = [value for value in values if math.isfinite(value)]
        self.latest = sum(defined) / len(defined) if defined else None
        self.evaluated = True
        return MetricRecord({"mean": self.latest} if self.latest is not None else {})

    def consider(self, server_round: int, arrays: ArrayRecord) -> None:
        """Consider ``arrays`` for release if they have just been evaluated."""
        if not self.evaluated:  # Flower also calls this before the first round
            return
        weights, value = from_arrays(arrays), self.latest
        if self.decay:
            self.average = advanced(self.average, weights, server_round, self.decay)
            self.weights = self.average.weights
        elif value is None and self.best == float("-inf"):
            self.weights = weights
        elif value is not None and value > self.best:
            self.best, self.weights = value, weights
        self.latest, self.evaluated = None, False


def _score(
    method: Method,
    run: RunFolder,
    federation: Federation,
    released: Weights | None,
    steps: int,
    personalised: dict[str, float] | None = None,
    tampering: Tampering | None = None,
) -> MethodResult:
    """Score the vendors' personalised models and the released one on the test splits."""
    sites = _sites(run, federation)
    if personalised is None:
        best = {site.vendor: site.state.best() for site in sites}
        personalised = _on_test({s: kept.weights for s in sites if (kept := best[s.vendor])})
    own = overall = success = None
    if released is not None and tampering is not None:
        success = tampering.success(sites, released)
    if released is not None:
        own = _on_test(dict.fromkeys(sites, released))
        first = sites[0].learner
        everyone = join([site.learner.data.test for site in sites])
        pooled = replace(first, data=replace(first.data, test=everyone))
        overall = pooled.evaluate(released, "test").get(federation.task.metric)
    epsilon = _most_spent(sites) if method != "pooled" else None
    SimulatedSite.forget(run.path)  # a worker makes many runs: free the data of this one
    return MethodResult(
        method=method,
        seed=federation.seed,
        steps=steps,
        personalised=personalised,
        global_own=own,
        global_all=overall,
        epsilon=epsilon,
        success=success,
    )


def _most_spent(sites: list[Site]) -> float | None:
    """Return the largest ε in the vendors' privacy ledgers."""
    spenders = [site.learner.spender for site in sites]
    return max(
        (each.ledger.spent(each.dataset, each.budget.delta) for each in spenders if each),
        default=None,
    )


def _on_test(models: dict[Site, Weights]) -> dict[str, float]:
    """Return the metric of a model on its vendor's test split, where it is defined there."""
    found = {}
    for site, weights in models.items():
        metrics = site.learner.evaluate(weights, "test")
        if site.federation.task.metric in metrics:
            found[site.vendor] = metrics[site.federation.task.metric]
    return found


def _grid(run: RunFolder, federation: Federation, app: object) -> MemoryGrid:
    return MemoryGrid(app, len(federation.roster), run.path)  # type: ignore[arg-type]


def _sites(run: RunFolder, federation: Federation) -> list[Site]:
    found = (SimulatedSite.at(run.path, n) for n in range(len(federation.roster)))
    return [where.site() for where in found if where is not None]


def _released(run: RunFolder) -> Weights:
    return read_model_file(run.global_model).weights
