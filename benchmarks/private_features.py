"""A private linear layer on frozen public features: PBC, Dirichlet(0.5), ε = 8 and 1.

The federation is ``examples/pbc/private-both-features.toml``, without the file of weights left out.
Every seed has its own division of the data, and each method's noise is planned for it.  Settings
were chosen on the validation images of the first seed; ``--tune`` measures them there beside their
neighbours, on a copy of the data whose test images are the validation images, so that nothing can
look at the others.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.compare_pbc import missing_data
from benchmarks.measuring.machine import this_machine
from benchmarks.measuring.markdown import table as markdown_table
from benchmarks.measuring.section import section
from clients.settings import NpzData
from srflm_flower.comparison.methods import Method, MethodResult, run_baseline, run_srflm
from srflm_flower.comparison.private_plans import at_seed
from srflm_flower.comparison.summary import Table, tabulate
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes

EXAMPLE = Path(__file__).parents[1] / "examples" / "pbc" / "private-both-features.toml"
METHODS: tuple[Method, ...] = ("srflm", "fedavg")
SEEDS = 5
PROXIMAL = 0.1  # FedProx's μ, which no method here uses
GLOBAL = "global on all test"
GOALS: Final[Mapping[float, float]] = {8.0: 0.86, 1.0: 0.75}


@dataclass(frozen=True)
class Choice:
    """Settings of a budget that the tuning chooses."""

    rate: float
    batch: int
    steps: int

    def changes(self) -> dict[str, Any]:
        """Return the settings as changes of a federation."""
        return {
            "training__learning_rate": self.rate,
            "privacy__batch_size": self.batch,
            "privacy__client_steps": self.steps,
        }


CHOSEN: Final[Mapping[float, Choice]] = {8.0: Choice(30.0, 256, 40), 1.0: Choice(10.0, 256, 10)}
"""ε → the settings that were chosen on validation images."""

TRIED: Final[Mapping[float, tuple[Choice, ...]]] = {
    8.0: (
        *(Choice(rate, 256, 25) for rate in (10.0, 20.0, 40.0)),
        *(Choice(rate, 512, 25) for rate in (10.0, 40.0)),
        *(Choice(rate, 256, 40) for rate in (30.0, 60.0)),
    ),
    1.0: (*(Choice(rate, 256, 10) for rate in (5.0, 10.0, 20.0)), Choice(10.0, 512, 10)),
}


@dataclass(frozen=True)
class Row:
    """Accuracies of the methods with one choice of settings under one budget."""

    epsilon: float
    choice: Choice
    table: Table
    spent: float | None


@dataclass(frozen=True)
class PrivateFeatures:
    """The rows, or the reason for missing ones; ``split`` says on which images they are."""

    rows: tuple[Row, ...]
    seeds: int
    split: str = "test"
    missing: str = ""

    def as_markdown(self) -> str:
        """Return the table, and on test images the verdicts about the goals."""
        if self.missing:
            return f"Left out: {self.missing}\n"
        columns = ("ε planned", "largest ε spent", "rate, batch, steps", "method", "global")
        cells = [_cells(row, method) for row in self.rows for method in row.table]
        text = (
            f"On {self.split} images, {self.seeds} seed(s).\n\n{markdown_table(columns, cells)}\n"
        )
        return text + ("\n".join(self._goals()) + "\n" if self.split == "test" else "")

    def _goals(self) -> Iterable[str]:
        for row in self.rows:
            found, goal = row.table["srflm"][GLOBAL][0], GOALS[row.epsilon]
            verdict = "met" if found >= goal else "missed"
            yield f"- At ε = {row.epsilon:g} SRFLM {found:.3f} (goal: {goal}): {verdict}"


def _cells(row: Row, method: str) -> tuple[str, ...]:
    mean, deviation = row.table[method][GLOBAL]
    spent = "–" if row.spent is None else f"{row.spent:.3f}"
    settings = f"{row.choice.rate:g}, {row.choice.batch}, {row.choice.steps}"
    return f"{row.epsilon:g}", spent, settings, method, f"{mean:.3f} ± {deviation:.3f}"


def run(
    quick: bool, folder: Path, seeds: int = SEEDS, methods: Sequence[Method] = METHODS
) -> PrivateFeatures:
    """Measure both budgets on test images, or in a hurry two rounds with one seed."""
    federation, missing = _federation()
    if missing:
        return PrivateFeatures((), seeds, missing=missing)
    if quick:
        federation, seeds = with_changes(federation, run__rounds=2), 1
    rows = [_measure(federation, e, CHOSEN[e], methods, seeds, folder) for e in CHOSEN]
    return PrivateFeatures(tuple(rows), seeds)


def tune(folder: Path) -> PrivateFeatures:
    """Try all settings with one seed, on validation images only."""
    federation, missing = _federation()
    if missing:
        return PrivateFeatures((), 1, "validation", missing)
    federation = without_test(federation, folder)
    rows = [
        _measure(federation, epsilon, choice, METHODS[:1], 1, folder)
        for epsilon, choices in TRIED.items()
        for choice in choices
    ]
    return PrivateFeatures(tuple(rows), 1, "validation")


def without_test(federation: Federation, folder: Path) -> Federation:
    """Return the federation on a copy of its data that has the validation images as test images."""
    assert isinstance(federation.data, NpzData)
    with np.load(federation.data.path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if not name.startswith("test")}
    arrays |= {
        name.replace("val", "test", 1): array
        for name, array in arrays.items()
        if name.startswith("val")
    }
    path = folder / "without-test.npz"
    np.savez(path, allow_pickle=False, **arrays)
    return with_changes(federation, data__path=path)


def _federation() -> tuple[Federation, str]:
    federation = load_federation(EXAMPLE)
    features = federation.model.features
    missing = missing_data(federation)
    if not missing and features is not None and features.file and not features.file.is_file():
        missing = f"{features.file.name} is not there (examples/pbc/make_features.py writes it)"
    return federation, missing


def _measure(
    federation: Federation,
    epsilon: float,
    choice: Choice,
    methods: Sequence[Method],
    seeds: int,
    folder: Path,
) -> Row:
    changed = with_changes(
        federation,
        privacy__epsilon=epsilon,
        # Exact, so that no noise of a measurement is in the table: a researcher's simulation.
        privacy__metrics="exact",
        run__device="cpu",
        **choice.changes(),
    )
    name = f"{epsilon:g}-{choice.rate:g}-{choice.batch}-{choice.steps}"
    results: list[MethodResult] = []
    # One after the other in this process, which keeps the images' features from run to run.
    for seed in range(federation.seed, federation.seed + seeds):
        planned = at_seed(changed, seed)
        result, budget = run_srflm(planned, folder / name / f"srflm-{seed}")
        results.append(result)
        for method in methods[1:]:
            where = folder / name / f"{method}-{seed}"
            results.append(run_baseline(method, planned, where, budget, PROXIMAL))
        print(f"ε = {epsilon:g}, {choice}, seed {seed}:", file=sys.stderr)
        print(*(f"  {r.method} {r.global_all}" for r in results[-len(methods) :]), file=sys.stderr)
    spent = [result.epsilon for result in results if result.epsilon is not None]
    return Row(epsilon, choice, tabulate(methods, results), max(spent, default=None))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line and print its section."""
    what = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.private_features", description=what)
    parser.add_argument("--quick", action="store_true", help="two rounds, one seed")
    parser.add_argument("--tune", action="store_true", help="compare settings, on validation only")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="divisions of the data")
    parser.add_argument("--alone", action="store_true", help="SRFLM without FedAvg")
    chosen = parser.parse_args(arguments)
    methods = METHODS[:1] if chosen.alone else METHODS
    machine = this_machine()
    with tempfile.TemporaryDirectory(prefix="bench-private-features-") as folder:
        where = Path(folder)
        result = tune(where) if chosen.tune else run(chosen.quick, where, chosen.seeds, methods)
    options = " --tune" if chosen.tune else f" --seeds {chosen.seeds}"
    options += " --alone" if chosen.alone else ""
    print(section("private_features", chosen.quick, machine, result.as_markdown(), options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
