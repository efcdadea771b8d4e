"""The ClientApp of the baselines, for the train and evaluate messages of Flower's strategies.

It is for comparisons on one machine only; a deployed site does not have it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clients.learner import Trained
from clients.training import Work, batches
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.run.simulated_site import SimulatedSite, run_folder_of
from srflm_flower.site.site import Site
from srflm_flower.site.state import UpdateNotes
from strategies.local_only import CONTINUE_OWN
from strategies.protocol.records import Ballot
from strategies.weights import Weights, from_arrays, to_arrays

app = ClientApp()

BUDGET_FILE = "step-budget.json"
FLOWER_ROUNDS_A_ROUND = "flower-rounds-a-round"
SPENT_FILE = "steps.txt"
SELECTED = "selected-metric"


def _site(context: Context) -> Site:
    folder = run_folder_of(str(context.run_config["out"]), context.run_id)
    where = SimulatedSite.at(folder, int(context.node_config["partition-id"]))
    assert where is not None  # a comparison has exactly one node for each vendor
    return where.site()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the vendor's share of the round's gradient steps."""
    site, config = _site(context), message.content.config_records["config"]
    flower_round = int(str(config["server-round"]))
    # Cyclic transfer takes one of Flower's rounds for each vendor: round up to the round of a run.
    round_number = -(-flower_round // int(str(config[FLOWER_ROUNDS_A_ROUND])))
    folder = Path(str(context.run_config["out"]))
    budget = StepBudget.model_validate_json((folder / BUDGET_FILE).read_bytes())
    settings = site.federation.training
    work = Work(
        learning_rate=site.federation.term_plan().learning_rate_in(round_number),
        epochs=settings.client_epochs,
        steps=budget.steps(site.vendor, round_number),
        proximal=float(str(config.get("proximal-mu", 0.0))),
    )
    start = from_arrays(message.content.array_records["arrays"])
    # Local-only training goes on from the vendor's own model, not from the server's.
    own = site.state.last_update()
    if config.get(CONTINUE_OWN) and own is not None:
        start = own[0]
    trained = _train(site, start, work, round_number)
    ballot = Ballot(examples=trained.examples, loss=trained.loss)
    notes = UpdateNotes(
        term=round_number, round=round_number, start="", ballot=ballot, steps=trained.steps
    )
    site.state.store_update(trained.weights, notes)
    site.state.forget_updates()
    # Counts the steps as trained, not as planned: the comparison shows them for each method.
    with (folder / SPENT_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{trained.steps}\n")
    site.personalisation.consider_local(trained.weights, round_number)
    metrics = MetricRecord({"num-examples": trained.examples, "loss": trained.loss})
    content = RecordDict({"arrays": to_arrays(trained.weights), "metrics": metrics})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the global model on the vendor's validation data, as a candidate for its best."""
    site = _site(context)
    weights = from_arrays(message.content.array_records["arrays"])
    metrics = site.personalisation.consider(weights, 0, "global")
    flower_round = int(str(message.content.config_records["config"]["server-round"]))
    site.personalisation.consider_global([(flower_round, weights)])
    # Flower requires the same metrics from every vendor, so an undefined one is NaN.
    value = metrics.get(site.federation.task.metric, math.nan)
    examples = len(site.learner.data.validation)
    content = RecordDict({"metrics": MetricRecord({"num-examples": examples, SELECTED: value})})
    return Message(content, reply_to=message)


def _train(site: Site, start: Weights, work: Work, round_number: int) -> Trained:
    """Train as the learner does; private training takes the steps of ``work``, not the agreed."""
    learner, steps = site.learner, work.steps or 0
    if learner.spender is None:
        return learner.train(start, work, "client", round_number)
    if steps == 0:  # a mechanism without steps does not exist, and nothing is spent
        return Trained(start, 0.0, learner.spender.size, 0)
    agreed = learner.spender.mechanisms
    mechanisms = {**agreed, "client": replace(agreed["client"], steps=steps)}
    spender = replace(learner.spender, mechanisms=mechanisms)
    return replace(learner, spender=spender).train(start, work, "client", round_number)


def client_steps(site: Site) -> int:
    """Return the number of gradient steps that a vendor takes in a round as a client."""
    if site.federation.privacy.private:
        return site.federation.privacy.client_steps
    training = site.federation.training
    return training.client_epochs * batches(len(site.learner.data.train), training.batch_size)
