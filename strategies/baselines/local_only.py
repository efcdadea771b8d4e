"""Local-only training: every vendor trains on its own data alone, and nothing is averaged."""

from __future__ import annotations

from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg


class LocalOnly(FedAvg):
    """Ask every vendor to continue with its own model; there is no global model."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask all vendors to continue, and send no weights."""
        return super().configure_train(server_round, ArrayRecord(), config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate nothing, after a look at the errors."""
        self._check_and_log_replies(replies, is_train=True, validate=False)
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Evaluate nothing: the vendors select by their own validation data while they train."""
        return []
