"""Cyclic weight transfer: one model visits the vendors in turn (Chang et al., JAMIA 2018)."""

from __future__ import annotations

from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg


class CyclicWeightTransfer(FedAvg):
    """Train at one vendor in each Flower round; a cycle over all vendors is one SRFLM round.

    Run it for ``vendors × rounds`` Flower rounds; it evaluates at the end of every cycle.
    """

    def __init__(self, vendors: int) -> None:
        super().__init__(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1)
        self.vendors = vendors

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Send the model to the one vendor whose turn it is."""
        messages = list(super().configure_train(server_round, arrays, config, grid))
        # FedAvg samples the nodes in random order; turns need a fixed one.
        messages.sort(key=lambda message: message.metadata.dst_node_id)
        return [messages[(server_round - 1) % self.vendors]]

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Evaluate at all vendors once a cycle is complete."""
        if server_round % self.vendors:
            return []
        return super().configure_evaluate(server_round, arrays, config, grid)
