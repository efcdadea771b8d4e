"""SRFLM beside its baselines on blood cells (three partitions) and on the built-in phantom.

All methods with three seeds: every method has the same model, data, partition, and number of
gradient steps. Metrics are on the vendors' test splits, mean ± standard deviation over the seeds.
A federation without its data file is left out, and the result says so.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring.section import main
from clients.settings import NpzData
from srflm_flower.comparison.compare import compare
from srflm_flower.comparison.methods import METHODS, Method
from srflm_flower.comparison.summary import Table, tabulate
from srflm_flower.comparison.tables import as_markdown
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes

EXAMPLES = Path(__file__).parents[1] / "examples" / "pbc"
PARTITIONS = ("dirichlet-0.5", "by-class", "dirichlet-1.0")
PROXIMAL = 0.1  # FedProx's μ
QUICK_METHODS: tuple[Method, ...] = ("srflm", "fedavg", "local")


@dataclass(frozen=True)
class Compared:
    """One federation's rounds, seeds, metric, and table, or the reason for a missing table."""

    name: str
    metric: str
    rounds: int
    seeds: int
    table: Table
    missing: str = ""

    def as_markdown(self) -> str:
        """Return the table, or the reason for a missing table."""
        if self.missing:
            return f"### {self.name}\n\nLeft out: {self.missing}\n"
        seeds = f"{self.seeds} seed{'s' if self.seeds != 1 else ''}"
        head = f"### {self.name}\n\nTest {self.metric}, {self.rounds} rounds, {seeds}:\n\n"
        return head + as_markdown(self.table)


@dataclass(frozen=True)
class Comparisons:
    """All federations."""

    compared: tuple[Compared, ...]

    def as_markdown(self) -> str:
        """Return one table a federation."""
        return "\n".join(each.as_markdown() for each in self.compared)


def run(quick: bool, folder: Path) -> Comparisons:
    """Compare on every federation: all methods and 3 seeds, or in a hurry a few and 1."""
    federations = [load_federation(EXAMPLES / f"{name}.toml") for name in PARTITIONS]
    federations.append(built_in_federation())
    if quick:
        federations = [with_changes(federation, run__rounds=2) for federation in federations]
    methods, seeds = (QUICK_METHODS, 1) if quick else (METHODS, 3)
    return Comparisons(tuple(_compared(each, methods, seeds, folder) for each in federations))


def _compared(
    federation: Federation, methods: tuple[Method, ...], count: int, folder: Path
) -> Compared:
    rounds, metric = federation.run.rounds, federation.task.metric
    missing = missing_data(federation)
    table: Table = {}
    if missing:
        print(f"{federation.name}: {missing}", file=sys.stderr)
    else:
        table = tabulate(
            methods,
            compare(
                # On the CPU the runs of several methods can go on side by side.
                with_changes(federation, run__device="cpu"),
                methods,
                [federation.seed + n for n in range(count)],
                folder / federation.name,
                os.cpu_count() or 1,
                PROXIMAL,
                lambda result: print(
                    f"{federation.name}: {result.method}, seed {result.seed}", file=sys.stderr
                ),
            ),
        )
    return Compared(federation.name, metric, rounds, count, table, missing)


def missing_data(federation: Federation) -> str:
    """Return a message about a missing data file, or ""."""
    data = federation.data
    if isinstance(data, NpzData) and not data.path.is_file():
        return f"its data file {data.path.name} is not there (examples/pbc says what it is)"
    return ""


if __name__ == "__main__":
    sys.exit(main("compare_pbc", run, (__doc__ or "").splitlines()[0]))
