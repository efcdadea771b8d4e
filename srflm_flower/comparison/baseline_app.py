"""The ClientApp of the baselines, for the train and evaluate messages of Flower's strategies.

It is for comparisons on one machine only; a deployed site does not have it.
"""

from __future__ import annotations

import math
from pathlib import Path

from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from srflm_flower.comparison.baselines.baseline import Baseline, Done, Turn
from srflm_flower.comparison.baselines.registry import BASELINES
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.run.simulated_site import SimulatedSite, run_folder_of
from srflm_flower.site.site import Site
from srflm_flower.site.state import UpdateNotes
from strategies.baselines.scaffold import EQUAL
from strategies.protocol.records import Ballot
from strategies.weights import Weights, from_arrays, to_arrays

app = ClientApp()

BUDGET_FILE = "step-budget.json"
METHOD = "method"
ROUNDS_A_ROUND = "rounds-a-round"
SPENT_FILE = "steps.txt"
SELECTED = "selected-metric"
MODEL = "arrays"


def _site(context: Context) -> Site:
    folder = run_folder_of(str(context.run_config["out"]), context.run_id)
    where = SimulatedSite.at(folder, int(context.node_config["partition-id"]))
    assert where is not None  # a comparison has exactly one node for each vendor
    return where.site()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Take the vendor's share of the round's gradient steps by the rules of the method."""
    site, config = _site(context), message.content.config_records["config"]
    baseline = BASELINES[str(config[METHOD])]
    # A cycle takes one of Flower's rounds for each vendor: round up to the round of a run.
    round_number = -(-int(str(config["server-round"])) // int(str(config[ROUNDS_A_ROUND])))
    folder = Path(str(context.run_config["out"]))
    budget = StepBudget.model_validate_json((folder / BUDGET_FILE).read_bytes())
    arrays = {name: from_arrays(each) for name, each in message.content.array_records.items()}
    received = arrays.pop(MODEL)
    turn = Turn(
        site=site,
        start=whole_model(baseline, site, received),
        own=own_model(site),
        received=arrays,
        memory=context.state,
        round_number=round_number,
        steps=baseline.steps(budget, site.vendor, round_number),
        proximal=float(str(config.get("proximal-mu", 0.0))),
    )
    done = baseline.train(turn)
    _keep(site, done, round_number)
    # Counts the steps as trained, not as planned: the comparison shows them for each method.
    with (folder / SPENT_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{done.steps}\n")
    return Message(_answer(baseline, site, done), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the global model on the vendor's validation data, as a candidate for its best."""
    site, config = _site(context), message.content.config_records["config"]
    received = from_arrays(message.content.array_records[MODEL])
    weights = whole_model(BASELINES[str(config[METHOD])], site, received)
    metrics = site.personalisation.consider(weights, 0, "global")
    site.personalisation.consider_global([(int(str(config["server-round"])), weights)])
    # Flower requires the same metrics from every vendor, so an undefined one is NaN.
    value = metrics.get(site.federation.task.metric, math.nan)
    examples = len(site.learner.data.validation)
    numbers = MetricRecord({"num-examples": examples, SELECTED: value, EQUAL: 1})
    return Message(RecordDict({"metrics": numbers}), reply_to=message)


def own_model(site: Site) -> Weights:
    """Return the vendor's own model after its last turn: before the first one, the initial one."""
    kept = site.state.last_update()
    return site.first if kept is None else kept[0]


def staying(baseline: Baseline, site: Site) -> frozenset[str]:
    """Return the names of the weights that the method or the federation keeps at a vendor."""
    return baseline.at_home(site) | site.home.first.keys()


def whole_model(baseline: Baseline, site: Site, received: Weights) -> Weights:
    """Return the weights as received, with the vendor's own for those that stay at home."""
    own, at_home = own_model(site), staying(baseline, site)
    return {name: own[name] if name in at_home else received[name] for name in site.first}


def _keep(site: Site, done: Done, round_number: int) -> None:
    """Store the vendor's own model, and try it and other candidates on its validation data."""
    ballot = Ballot(examples=done.examples, loss=done.loss)
    notes = UpdateNotes(
        term=round_number, round=round_number, start="", ballot=ballot, steps=done.steps
    )
    site.state.store_update(done.own, notes)
    site.state.forget_updates()
    for number, weights in enumerate((*done.candidates, done.own)):
        site.personalisation.consider_local(weights, round_number + number)


def _answer(baseline: Baseline, site: Site, done: Done) -> RecordDict:
    """Return the vendor's answer, without the weights that stay at home."""
    numbers = MetricRecord({"num-examples": done.examples, "loss": done.loss, EQUAL: 1})
    content = RecordDict({"metrics": numbers})
    if done.sent is not None:
        at_home = staying(baseline, site)
        sent = {name: array for name, array in done.sent.items() if name not in at_home}
        content[MODEL] = to_arrays(sent)
    for name, arrays in done.further.items():
        content[name] = to_arrays(arrays)
    return content
