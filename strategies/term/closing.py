"""After the last term: gather the personalised models and the metrics on the test splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flwr.serverapp import Grid

from strategies.protocol import messages as wire
from strategies.protocol.records import Metrics
from strategies.term.conversation import Conversation, request
from strategies.weights import Model

PERSONALISED = "personalised"


@dataclass(frozen=True)
class Closing:
    """The vendors' reports after the last term.

    ``test[vendor][name]`` are metrics of the models ``personalised`` and ``global`` on the vendor's
    own test split; ``cross[model's vendor][data's vendor]`` are metrics of each personalised model
    on each vendor's validation split.
    """

    personalised: dict[str, Model]
    test: dict[str, dict[str, Metrics]]
    cross: dict[str, dict[str, Metrics]]


def close_run(
    conversation: Conversation, grid: Grid, deadline: float, released: Model | None, cross: bool
) -> Closing:
    """Ask every vendor for its personalised model (it may refuse) and its test metrics.

    ``deadline`` is in seconds.  ``released`` is the global model to test, if any.  With ``cross``,
    every personalised model is also evaluated on every vendor's validation split.
    """
    term = conversation.term
    share = wire.ShareBest(envelope=term.envelope)
    shared = conversation.ask(
        [request(share, wire.SHARE, node) for node in term.node_of.values()], "close", deadline
    )
    personalised = {
        vendor: answer.models[answer.reply.update]
        for vendor, answer in shared.items()
        if answer.reply.update in answer.models
    }
    models = {"global": released} if released is not None else {}
    test = _metrics(conversation, models, "test", deadline)
    table = _metrics(conversation, personalised, "validation", deadline) if cross else {}
    return Closing(
        personalised,
        test,
        {
            # Replies are by the data's vendor; the table is by the model's vendor first.
            owner: {at: named[owner] for at, named in table.items() if owner in named}
            for owner in personalised
            if table
        },
    )


def _metrics(
    conversation: Conversation, models: Mapping[str, Model], split: str, deadline: float
) -> dict[str, dict[str, Metrics]]:
    """Return vendor → name of the model → metrics on the vendor's ``split``."""
    noun = wire.EvaluateModels.model_validate(
        {
            "envelope": conversation.term.envelope,
            "models": {name: model.hash for name, model in models.items()},
            "split": split,
            # Evaluations after the last term must not change the personalised models.
            "select": False,
        }
    )
    requests = [request(noun, wire.EVALUATE, node) for node in conversation.term.node_of.values()]
    replies = conversation.ask(requests, "close", deadline, models.values())
    return {vendor: answer.reply.metrics for vendor, answer in replies.items()}
