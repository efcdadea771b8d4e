"""The cost of differential privacy in accuracy: PBC, Dirichlet(0.5), ε = 8, 4, 1 and without.

The federation is ``examples/pbc/private.toml``. Every seed has its own division of the data, and
for each the noise of every method is planned (``srflm_flower.comparison.private_plans``). The ε
spent is from the vendors' privacy ledgers. Without privacy, the same data, rounds, and methods have
suitable settings: batch norm, small batches, momentum, several epochs.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring.data import missing_data
from benchmarks.measuring.markdown import table as markdown_table
from benchmarks.measuring.section import main
from srflm_flower.comparison.compare import compare
from srflm_flower.comparison.methods import Method
from srflm_flower.comparison.summary import Table, tabulate
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes

EXAMPLE = Path(__file__).parents[1] / "examples" / "pbc" / "private.toml"
LEARNING_RATES = {8.0: 1.5, 4.0: 0.7, 1.0: 0.7}  # ε → rate: more noise needs smaller steps
METHODS: tuple[Method, ...] = ("srflm", "fedavg", "local")
SEEDS = 3
PROXIMAL = 0.1  # FedProx's μ
MAX_LOST = 0.05  # of accuracy, at the largest ε
PERSONALISED, GLOBAL = "personalised", "global on all test"


@dataclass(frozen=True)
class Utility:
    """Test metrics of all methods under one budget; ``epsilon`` is None without privacy.

    ``spent`` is the largest ε in any vendor's ledger at the end of any run.
    """

    epsilon: float | None
    table: Table
    spent: float | None = None

    def value(self, method: Method) -> float:
        """Return the mean personalised metric."""
        return self.table[method][PERSONALISED][0]


@dataclass(frozen=True)
class PrivateUtility:
    """The table over all budgets, or the reason for a missing table."""

    rows: tuple[Utility, ...]
    delta: float
    rounds: int
    seeds: int
    missing: str = ""

    def as_markdown(self) -> str:
        """Return the table, and the verdicts about the goals at the largest ε."""
        if self.missing:
            return f"Left out: {self.missing}\n"
        columns = ("ε planned", "largest ε spent", "method", PERSONALISED, "global")
        cells = [self._cells(row, method) for row in self.rows for method in row.table]
        head = f"δ = {self.delta:g}, {self.rounds} rounds, {self.seeds} seed(s)."
        return f"{head}\n\n{markdown_table(columns, cells)}\n" + "\n".join(self.goals()) + "\n"

    def goals(self) -> list[str]:
        """Return a line on each goal."""
        plain = next((row for row in self.rows if row.epsilon is None), None)
        private = max(
            (row for row in self.rows if row.epsilon is not None),
            key=lambda row: row.epsilon or 0.0,
            default=None,
        )
        if plain is None or private is None:
            return []
        lost = plain.value("srflm") - private.value("srflm")
        at, ours = f"At ε = {private.epsilon:g}", private.value("srflm")
        return [
            f"- {at} SRFLM loses {100 * lost:.1f} points of personalised accuracy (goal: at most"
            f" {100 * MAX_LOST:g}): {_met(lost <= MAX_LOST)}",
            *(
                f"- {at} SRFLM {ours:.3f} against private {method} {private.value(method):.3f}"
                f" (goal: better): {_met(ours > private.value(method))}"
                for method in METHODS[1:]
            ),
        ]

    def _cells(self, row: Utility, method: str) -> tuple[str, ...]:
        values = row.table[method]
        both = [f"{values[c][0]:.3f} ± {values[c][1]:.3f}" if c in values else "–" for c in _SHOWN]
        planned = "none" if row.epsilon is None else f"{row.epsilon:g}"
        return planned, "–" if row.spent is None else f"{row.spent:.3f}", method, *both


_SHOWN = (PERSONALISED, GLOBAL)


def _met(yes: bool) -> str:
    return "met" if yes else "missed"


def run(quick: bool, folder: Path) -> PrivateUtility:
    """Measure every budget with 3 seeds, or in a hurry one budget with one seed and 2 rounds."""
    federation = load_federation(EXAMPLE)
    budgets: tuple[float | None, ...] = (None, *LEARNING_RATES)
    seeds = SEEDS
    if quick:
        federation, budgets, seeds = with_changes(federation, run__rounds=2), budgets[:2], 1
    missing = missing_data(federation)
    rows = () if missing else tuple(_measure(federation, e, seeds, folder) for e in budgets)
    return PrivateUtility(rows, federation.privacy.delta, federation.run.rounds, seeds, missing)


def _measure(federation: Federation, epsilon: float | None, seeds: int, folder: Path) -> Utility:
    if epsilon is None:
        changed = without_privacy(federation)
    else:
        changed = with_changes(
            federation,
            privacy__epsilon=epsilon,
            # Models are chosen by exact validation metrics, which no ε covers: a researcher's
            # simulation, and no setting for a hospital.
            privacy__metrics="exact",
            training__learning_rate=LEARNING_RATES[epsilon],
        )
    results = compare(
        with_changes(changed, run__device="cpu"),
        METHODS,
        [federation.seed + n for n in range(seeds)],
        folder / f"epsilon-{epsilon}",
        os.cpu_count() or 1,
        PROXIMAL,
        lambda result: print(f"ε = {epsilon}: {result.method}, {result.seed}", file=sys.stderr),
    )
    spent = [result.epsilon for result in results if result.epsilon is not None]
    return Utility(epsilon, tabulate(METHODS, results), max(spent, default=None))


def noise_left_out(federation: Federation) -> dict[str, Any]:
    """Return the changes that leave privacy out of a federation, each vendor's noise too."""
    vendors = [
        member.model_dump(mode="python") | {"client_noise": None, "server_noise": None}
        for member in federation.vendors
    ]
    return {"vendors": vendors, "privacy__unit": "none"}


def without_privacy(federation: Federation) -> Federation:
    """Return the federation without privacy, with settings that suit it."""
    # With the private settings (large steps, one epoch, group norm) the comparison would be unfair.
    return with_changes(
        federation,
        **noise_left_out(federation),
        model__dp_ready=False,
        model__norm="batch",
        model__width=32,
        model__weight_standardisation=False,
        training__learning_rate=0.02,
        training__decay=0.9,
        training__momentum=0.9,
        training__batch_size=32,
        training__client_epochs=2,
        training__server_epochs=2,
    )


if __name__ == "__main__":
    sys.exit(main("private_utility", run, (__doc__ or "").splitlines()[0]))
