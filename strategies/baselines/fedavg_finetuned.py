"""FedAvg, then fine-tuning at home: the simplest way to a personalised model.

Yu et al. (arXiv 2002.04758, 2020) and Cheng et al. (arXiv 2108.07313, 2021) measure how far it
goes.
"""

from __future__ import annotations

from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg


class FedAvgFineTuned(FedAvg):
    """FedAvg for ``rounds`` rounds; one more round hands out the last model, and takes nothing.

    Run it for ``rounds + 1`` Flower rounds.
    """

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average as FedAvg does; after the round at home there is nothing to average."""
        if server_round <= self.rounds:
            return super().aggregate_train(server_round, replies)
        self._check_and_log_replies(replies, is_train=True, validate=False)
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Evaluate the global model while it changes."""
        if server_round > self.rounds:
            return []
        return super().configure_evaluate(server_round, arrays, config, grid)
