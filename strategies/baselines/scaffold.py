"""SCAFFOLD: control variates against the drift of the vendors (Karimireddy et al., ICML 2020)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from strategies.weights import Weights, from_arrays, to_arrays

CONTROL = "control"
"""The record with the server's control variate c on the way out, and c_i⁺ − c_i on the way in."""

EQUAL = "equal"
"""A metric that is 1 for every vendor: the paper's mean has no weights."""


class Scaffold(FedAvg):
    """Average models and control variates over all vendors (algorithm 1 with η_g = 1 and S = N).

    c ← c + mean of (c_i⁺ − c_i).  The control variates begin with zeros, which are not sent.
    """

    def __init__(self) -> None:
        super().__init__(weighted_by_key=EQUAL)
        self.control: Weights = {}

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Send the control variate besides the model."""
        messages = list(super().configure_train(server_round, arrays, config, grid))
        for message in messages:
            message.content[CONTROL] = to_arrays(self.control)
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Take the changes of the control variates out of the replies, then average as FedAvg."""
        replies = list(replies)
        changes = [
            from_arrays(reply.content.array_records[CONTROL])
            for reply in replies
            if not reply.has_error()
        ]
        if changes:
            self.control = with_mean_change(self.control, changes)
        for reply in replies:
            if not reply.has_error():
                del reply.content[CONTROL]  # FedAvg expects one record of arrays
        return super().aggregate_train(server_round, replies)


def with_mean_change(control: Weights, changes: list[Weights]) -> Weights:
    """Return c + mean of ``changes``; a name that ``control`` lacks begins with zeros."""
    return {
        name: control.get(name, np.zeros_like(array))
        + np.mean([change[name] for change in changes], axis=0, dtype=array.dtype)
        for name, array in changes[0].items()
    }
