"""A ServerApp that runs Flower's own ``FedAvg`` and notes the end of every round."""

from __future__ import annotations

import time
from pathlib import Path

from flwr.app import ArrayRecord, Context, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from benchmarks.measuring.round_times import RoundEnd, append_round_end
from clients.networks.build import initial_network
from clients.networks.weights import get_weights
from srflm_flower.run.folder import RunFolder
from strategies.weights import to_arrays

app = ServerApp()
ROUNDS_FILE = "rounds.jsonl"


class RoundNotes:
    """Writes a line for each round, through two callbacks of Flower's strategies."""

    def __init__(self, path: Path) -> None:
        self._path, self._steps = path, 0

    def trained(self, replies: list[RecordDict], weighted_by: str) -> MetricRecord:
        """Add up the gradient steps of the round."""
        records = [next(iter(reply.metric_records.values())) for reply in replies]
        self._steps = sum(int(str(record["steps"])) for record in records)
        return MetricRecord({"steps": self._steps})

    def round_ended(self, server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
        """Note the time; Flower calls this at the end of each round, and first as round 0."""
        append_round_end(self._path, RoundEnd(server_round, time.time(), self._steps))
        return None


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run FedAvg for the number of rounds in the run folder's federation."""
    out = Path(str(context.run_config["out"]))
    federation = RunFolder(out).federation()
    notes = RoundNotes(out / ROUNDS_FILE)
    network = initial_network(
        federation.network_settings, federation.task, federation.seed, federation.image_shape
    )
    # FedAvg begins with two nodes by default; here it must wait for all.
    strategy = FedAvg(
        min_available_nodes=len(federation.roster), train_metrics_aggr_fn=notes.trained
    )
    strategy.start(
        grid,
        to_arrays(get_weights(network)),
        num_rounds=federation.run.rounds,
        evaluate_fn=notes.round_ended,
    )
