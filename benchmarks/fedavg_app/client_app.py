"""A ClientApp like those in Flower's tutorials: train, evaluate, keep nothing.

It trains with the same :class:`clients.learner.Learner` on the same data as an SRFLM run.
"""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clients.learner import Learner
from clients.training import Work
from srflm_flower.run.simulated_site import SimulatedSite
from strategies.weights import from_arrays, to_arrays

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the global model on the vendor's own data."""
    learner = _learner(context)
    round_number = int(str(message.content.config_records["config"]["server-round"]))
    settings = learner.settings
    rate = settings.learning_rate * settings.decay ** (round_number - 1)  # SRFLM's η_r
    start = from_arrays(message.content.array_records["arrays"])
    work = Work(rate, settings.client_epochs)
    trained = learner.train(start, work, "client", round_number)
    metrics = MetricRecord(
        {"num-examples": trained.examples, "loss": trained.loss, "steps": trained.steps}
    )
    content = RecordDict({"arrays": to_arrays(trained.weights), "metrics": metrics})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the global model on the vendor's validation split."""
    learner = _learner(context)
    weights = from_arrays(message.content.array_records["arrays"])
    examples = len(learner.data.validation)
    metrics = MetricRecord({"num-examples": examples, **learner.evaluate(weights, "validation")})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def _learner(context: Context) -> Learner:
    folder, position = str(context.run_config["out"]), int(context.node_config["partition-id"])
    where = SimulatedSite.at(Path(folder), position)
    if where is None:
        raise ValueError(f"node {position} has no vendor")
    return where.site().learner
