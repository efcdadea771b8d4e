"""A private linear layer on frozen public features: PBC, Dirichlet(0.5), ε = 8 and 1.

The federation is ``examples/pbc/private-both-features.toml``, without the file of weights left out.
Every seed has its own division of the data, and each method's noise is planned for it.  After the
last term each vendor trains the released model on at home, without noise
(``personalised.fine-tuning``).  Beside it is what a vendor has alone, by as many steps without
noise on the same features.

Settings were chosen on the validation images of the first seed; ``--tune`` measures them there
beside their neighbours, on a copy of the data whose test images are the validation images, so that
nothing can look at the others.
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

from benchmarks.measuring.data import missing_data
from benchmarks.measuring.machine import this_machine
from benchmarks.measuring.markdown import table as markdown_table
from benchmarks.measuring.section import section
from benchmarks.private_utility import GLOBAL, PERSONALISED, noise_left_out
from clients.settings import NpzData
from clients.training import batches
from srflm_flower.comparison.methods import Method, MethodResult, run_baseline, run_srflm
from srflm_flower.comparison.private_plans import at_seed
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.comparison.summary import Table, tabulate
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes
from srflm_flower.federation.preflight import count_examples

EXAMPLE = Path(__file__).parents[1] / "examples" / "pbc" / "private-both-features.toml"
METHODS: tuple[Method, ...] = ("srflm", "fedavg")
SEEDS = 5
PROXIMAL = 0.1  # FedProx's μ, which no method here uses
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
class AtHome:
    """Settings of the training at home after the last term."""

    rate: float
    batch: int
    epochs: int

    def changes(self) -> dict[str, Any]:
        """Return the settings as changes of a federation."""
        rate, batch, epochs = self.rate, self.batch, self.epochs
        tuning = {"learning_rate": rate, "batch_size": batch, "epochs": epochs}
        return {"personalised__fine_tuning": tuning}


HOME: Final = AtHome(0.5, 32, 20)
"""The settings that were chosen on validation images."""

HOME_TRIED: Final = (
    *(AtHome(rate, 32, 20) for rate in (0.02, 0.1, 0.5)),
    AtHome(0.5, 256, 20),
    AtHome(0.5, 32, 5),
)


@dataclass(frozen=True)
class Row:
    """Accuracies of the methods with one choice of settings under one budget.

    ``epsilon`` and ``choice`` are None for the vendors alone, without noise.
    """

    epsilon: float | None
    choice: Choice | None
    table: Table
    spent: float | None
    home: AtHome = HOME


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
        columns = (
            *("ε planned", "largest ε spent", "rate, batch, steps", "at home: rate, batch, epochs"),
            *("method", "global", "personalised"),
        )
        cells = [_cells(row, method) for row in self.rows for method in row.table]
        text = (
            f"On {self.split} images, {self.seeds} seed(s).\n\n{markdown_table(columns, cells)}\n"
        )
        return text + ("\n".join(self._goals()) + "\n" if self.split == "test" else "")

    def _goals(self) -> Iterable[str]:
        for row in self.rows:
            if row.epsilon is None:
                continue
            found, goal = row.table["srflm"][GLOBAL][0], GOALS[row.epsilon]
            verdict = "met" if found >= goal else "missed"
            yield f"- At ε = {row.epsilon:g} SRFLM {found:.3f} (goal: {goal}): {verdict}"


def _cells(row: Row, method: str) -> tuple[str, ...]:
    found = row.table[method]
    figures = (
        f"{found[name][0]:.3f} ± {found[name][1]:.3f}" if name in found else "–"
        for name in (GLOBAL, PERSONALISED)
    )
    planned = "none" if row.epsilon is None else f"{row.epsilon:g}"
    spent = "–" if row.spent is None else f"{row.spent:.3f}"
    chosen = row.choice
    settings = "–" if chosen is None else f"{chosen.rate:g}, {chosen.batch}, {chosen.steps}"
    home = f"{row.home.rate:g}, {row.home.batch}, {row.home.epochs}"
    # FedAvg's clients of Flower do not train on after the last round.
    return planned, spent, settings, home if method != "fedavg" else "–", method, *figures


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
    rows.append(_alone(federation, seeds, folder))
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
    rows += [
        _measure(federation, 8.0, CHOSEN[8.0], METHODS[:1], 1, folder, home) for home in HOME_TRIED
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
    home: AtHome = HOME,
) -> Row:
    changed = with_changes(
        federation,
        privacy__epsilon=epsilon,
        # Exact, so that no noise of a measurement is in the table: a researcher's simulation.
        privacy__metrics="exact",
        run__device="cpu",
        **choice.changes(),
        **home.changes(),
    )
    name = f"{epsilon:g}-{choice.rate:g}-{choice.batch}-{choice.steps}"
    name += f"-{home.rate:g}-{home.batch}-{home.epochs}"
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
    return Row(epsilon, choice, tabulate(methods, results), max(spent, default=None), home)


def _alone(federation: Federation, seeds: int, folder: Path) -> Row:
    """Measure what the vendors have alone: as many steps at home, from the first weights on."""
    plain = with_changes(
        federation,
        **noise_left_out(federation),
        aggregation__moving_average=0.0,
        training__learning_rate=HOME.rate,
        training__batch_size=HOME.batch,
        training__momentum=0.9,
        training__decay=0.95,
        run__rounds=HOME.epochs,
        run__device="cpu",
    )
    results = []
    for seed in range(federation.seed, federation.seed + seeds):
        changed = at_seed(plain, seed)
        sizes = count_examples(changed)
        epoch = {v: batches(sizes[v].train, HOME.batch) for v in changed.roster}
        budget = StepBudget(rounds=(epoch,) * HOME.epochs)
        where = folder / "alone" / f"local-{seed}"
        results.append(run_baseline("local", changed, where, budget, PROXIMAL))
        print(f"alone, seed {seed}: {results[-1].personalised}", file=sys.stderr)
    return Row(None, None, tabulate(("local",), results), None)


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
