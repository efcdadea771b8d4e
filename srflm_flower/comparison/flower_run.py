"""Run a baseline whose server is a strategy of Flower's, in memory."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
from flwr.app import ConfigRecord, Message

from clients.files.durable import write_durably
from srflm_flower.comparison import baseline_app
from srflm_flower.comparison.baselines.baseline import Baseline, Setup
from srflm_flower.comparison.baselines.registry import BASELINES
from srflm_flower.comparison.best_global import BestGlobal
from srflm_flower.comparison.meter import Meter
from srflm_flower.comparison.result import Method
from srflm_flower.comparison.scoring import Outcome, sites_of
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.comparison.tampering import Tampering
from srflm_flower.federation.federation import Federation
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.memory_grid import Deliver, Fault, MemoryGrid
from srflm_flower.site.site import Site
from strategies.errors import SimulationError
from strategies.weights import Weights, to_arrays


def run_on_flower(
    method: Method,
    run: RunFolder,
    federation: Federation,
    budget: StepBudget,
    proximal: float,
    tampering: Tampering | None = None,
) -> Outcome:
    """Run the baseline ``method`` in the folder of a run with the gradient steps of ``budget``."""
    # The nodes know only the run's folder, so they read the budget from a file in it.
    write_durably(run.path / baseline_app.BUDGET_FILE, budget.model_dump_json().encode())
    baseline, sites = BASELINES[method], sites_of(run, federation)
    if tampering is not None:
        tampering.before(sites)
    meter = Meter()
    # An attack may break a vendor's work off; Flower's strategies then go on with the others.
    fault = _without_errors(meter) if tampering is None else meter.deliver
    setup = Setup(len(federation.roster), federation.run.rounds, proximal)
    keeper = BestGlobal(federation.aggregation.moving_average, with_means(baseline, sites))
    strategy = baseline.strategy(setup)
    # FedAvg asks the vendors in an order that it draws; sums of floats depend on the order.
    random.seed(federation.seed)
    # After each round Flower calls this with the vendors' metrics, then evaluate_fn with the model.
    strategy.evaluate_metrics_aggr_fn = keeper.aggregate
    words: dict[str, str | int] = {
        baseline_app.METHOD: method,
        baseline_app.ROUNDS_A_ROUND: baseline.rounds_a_round(setup),
    }
    at_home = baseline_app.staying(baseline, sites[0])
    shared = {n: array for n, array in sites[0].first.items() if n not in at_home}
    strategy.start(
        MemoryGrid(baseline_app.app, setup.vendors, run.path, fault),
        to_arrays(shared),
        num_rounds=baseline.flower_rounds(setup),
        train_config=ConfigRecord({**words}),
        evaluate_config=ConfigRecord({**words}),
        evaluate_fn=keeper.consider,
    )
    meter.stop()
    spent = (run.path / baseline_app.SPENT_FILE).read_text(encoding="utf-8").split()
    steps = sum(map(int, spent))
    return Outcome(method, run, federation, keeper.weights, steps, meter, tampering=tampering)


def _without_errors(meter: Meter) -> Fault:
    """Return the meter as a fault that stops the run when a vendor fails.

    Flower's strategies go on with the others, and the method would have fewer gradient steps.
    """

    def deliver(message: Message, to_node: Deliver) -> Message | None:
        reply = meter.deliver(message, to_node)
        if reply is not None and reply.has_error():
            raise SimulationError(
                f"a vendor's work that broke off: {reply.error.reason}",
                "the work of every vendor in every round",
                "mend the cause and compare again",
            )
        return reply

    return deliver


def with_means(baseline: Baseline, sites: Sequence[Site]) -> Callable[[Weights], Weights]:
    """Return a function that adds to a global model the weights that stay at home.

    They are the plain means over the vendors.  The method itself never sends them: this is for the
    score of a global model, which has to be a whole one.
    """

    def whole(shared: Weights) -> Weights:
        at_home = baseline_app.staying(baseline, sites[0])
        own = [baseline_app.own_model(site) for site in sites] if at_home else []
        return {
            name: np.mean([each[name] for each in own], axis=0, dtype=array.dtype)
            if name in at_home
            else shared[name]
            for name, array in sites[0].first.items()
        }

    return whole
