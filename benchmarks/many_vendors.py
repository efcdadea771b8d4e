"""Fifty vendors on one machine: seconds a round, and whether memory or disk use grows.

A federation of 50 vendors, 40 phantom slices each, runs in Flower's simulation engine. At the end
of every round the resident memory of all its processes is added up (on Linux as PSS: shared pages
count once), and the size of the run's folder. A line is fitted through the rounds after the fourth.
Memory grows if its slope is at least one MiB per round and significant (p < 0.05).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.measuring.markdown import table
from benchmarks.measuring.process_memory import disk_use, simulation_memory
from benchmarks.measuring.round_times import RoundEnd, seconds_a_round
from benchmarks.measuring.section import main
from benchmarks.measuring.spread import Trend, trend
from deploy.simulation.simulation import simulate
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, with_changes
from srflm_flower.run.folder import create_run_folder
from strategies.errors import SimulationError

SETTLED_AFTER = 4  # by then every process has loaded all vendors' data
TOLERATED_MIB = 1.0


@dataclass(frozen=True)
class AtRoundEnd:
    """Memory and disk use (MiB) at the end of a round."""

    end: RoundEnd
    memory: float
    disk: float


@dataclass(frozen=True)
class ManyVendors:
    """The time, memory, and disk use of a run, round by round."""

    vendors: int
    rounds: tuple[AtRoundEnd, ...]

    @property
    def seconds(self) -> float:
        """Return the median seconds a round."""
        return seconds_a_round([each.end for each in self.rounds])

    @property
    def memory_trend(self) -> Trend:
        """Return the trend of the memory (MiB a round) once it has settled."""
        return trend([each.memory for each in self.rounds[SETTLED_AFTER:]])

    @property
    def disk_trend(self) -> Trend:
        """Return the trend of the disk use (MiB a round) once it has settled."""
        return trend([each.disk for each in self.rounds[SETTLED_AFTER:]])

    @property
    def verdict(self) -> str:
        """Return a sentence about the growth of memory."""
        memory = self.memory_trend
        word = "grows" if memory.grows(TOLERATED_MIB) else "does not grow"
        return (
            f"{self.vendors} vendors: {self.seconds:.2f} s a round."
            f" After round {SETTLED_AFTER} memory {word}: slope {memory.slope:+.2f} MiB a round"
            f" (p = {memory.p_value:.2f})."
            f" Disk use: slope {self.disk_trend.slope:+.3f} MiB a round."
        )

    def as_markdown(self) -> str:
        """Return the verdict and the rounds."""
        seconds = ["–", *(f"{b.end.time - a.end.time:.2f}" for a, b in pairwise(self.rounds))]
        rows = [
            (each.end.round, taken, f"{each.memory:.0f}", f"{each.disk:.2f}")
            for each, taken in zip(self.rounds, seconds, strict=True)
        ]
        columns = ("round", "seconds", "memory MiB", "run folder MiB")
        return f"{self.verdict}\n\n{table(columns, rows)}"


def run(quick: bool, folder: Path) -> ManyVendors:
    """Run 50 vendors for 12 rounds, or in a hurry 8 vendors for 8."""
    vendors, rounds = (8, 8) if quick else (50, 12)
    return measure(small_federation(vendors, rounds), folder / "run")


def small_federation(vendors: int, rounds: int) -> Federation:
    """Return a federation of many vendors with little data."""
    return with_changes(
        built_in_federation(vendors),
        data__examples=40,
        training__batch_size=4,
        training__client_epochs=1,
        training__server_epochs=1,
        splits__allow_one_class=True,  # 40 slices may by chance be of one class
        run__rounds=rounds,
        run__device="cpu",
    )


def measure(federation: Federation, out: Path) -> ManyVendors:
    """Run a federation, and measure its processes and its folder at the end of every round."""
    rounds: list[AtRoundEnd] = []

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "term-committed":
            record = event["record"]
            end = RoundEnd(record["round"], event["time"], sum(record["steps"].values()))
            rounds.append(AtRoundEnd(end, simulation_memory(), disk_use(out)))

    summary = simulate(create_run_folder(federation, out, out.parent), on_event)
    if summary.status != "completed":
        raise SimulationError(summary.what_happened, "a complete run", f"look into {out}")
    return ManyVendors(len(federation.roster), tuple(rounds))


if __name__ == "__main__":
    sys.exit(main("many_vendors", run, (__doc__ or "").splitlines()[0]))
