"""Build the request messages of training and evaluation."""

from __future__ import annotations

from collections.abc import Mapping

from flwr.app import Message

from strategies.protocol import messages as wire
from strategies.settings import AggregationSettings, Role
from strategies.term.attempt import Attempt
from strategies.term.conversation import request
from strategies.term.plan import TermPlan
from strategies.weights import Model


def work(
    term: Attempt, plan: TermPlan, vendor: str, round_number: int, model: Model, role: Role
) -> wire.Train:
    """Return the request for a vendor's work: E_c epochs as a client, E_s as the server."""
    return wire.Train(
        envelope=term.envelope,
        round=round_number,
        model=model.hash,
        steps=plan.steps(vendor, round_number, role) if plan.steps is not None else None,
    )


def training_requests(
    term: Attempt,
    plan: TermPlan,
    aggregation: AggregationSettings,
    round_number: int,
    model: Model,
) -> list[Message]:
    """Return the requests to train, and to the server's own node for its last update if needed."""
    requests = [
        request(work(term, plan, vendor, round_number, model, "client"), wire.TRAIN, node)
        for vendor, node in term.node_of.items()
        if vendor != term.server
    ]
    # The server does not train as a client: its share in the average is an earlier update.
    if aggregation.recalls_server:
        recall = wire.RecallUpdate(
            envelope=term.envelope,
            round=round_number,
            or_initial=aggregation.include_stale_server == "always",
        )
        requests.append(request(recall, wire.RECALL, term.node_of[term.server]))
    return requests


def evaluation_requests(term: Attempt, models: Mapping[str, Model]) -> list[Message]:
    """Return the requests for the metrics of ``models`` (name → model) to all vendors.

    The server's own node has these models already, so its request carries none.
    """
    evaluation = wire.EvaluateModels(
        envelope=term.envelope, models={name: model.hash for name, model in models.items()}
    )
    return [
        request(evaluation, wire.EVALUATE, node, () if vendor == term.server else models.values())
        for vendor, node in term.node_of.items()
    ]
