"""Ten, fifty, and two hundred vendors in simulation: what grows with the roster, and how fast.

Each federation runs some rounds with little data in Flower's simulation engine, one after the
other.  Catching up is measured as the reading and checking of all records by another process's
rules, a record at a time.  Simulated sites sign nothing: a deployed record has a signature more
for each vendor and phase.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from benchmarks.many_vendors import measure, small_federation
from benchmarks.measuring.markdown import table
from benchmarks.measuring.section import main
from strategies.protocol.records import TermRecord

ROSTERS = (10, 50, 200)
ROUNDS = 5


@dataclass(frozen=True)
class Roster:
    """One federation: seconds and MiB a round, kB a site and round, kB and ms a record."""

    vendors: int
    seconds: float
    memory: float
    bytes_a_site: float
    record: float
    checking: float

    def cells(self) -> list[str]:
        """Return the row of the table."""
        return [
            str(self.vendors),
            f"{self.seconds:.1f}",
            f"{self.memory:.0f}",
            f"{self.bytes_a_site / 1e3:.1f}",
            f"{self.record / 1e3:.1f}",
            f"{1e3 * self.checking:.1f}",
        ]


@dataclass(frozen=True)
class Rosters:
    """All of them."""

    rosters: tuple[Roster, ...]

    def as_markdown(self) -> str:
        """Return the table."""
        columns = [
            "vendors",
            "s a round",
            "memory, all processes, MiB",
            "kB a site and round",
            "kB a record",
            "ms to read and check a record",
        ]
        return table(columns, [each.cells() for each in self.rosters])


def run(quick: bool, folder: Path) -> Rosters:
    """Measure all rosters, or in a hurry the smallest for three rounds."""
    rosters, rounds = (ROSTERS[:1], 3) if quick else (ROSTERS, ROUNDS)
    return Rosters(tuple(_measured(n, rounds, folder / str(n)) for n in rosters))


def _measured(vendors: int, rounds: int, folder: Path) -> Roster:
    found = measure(small_federation(vendors, rounds), folder)
    lines = (folder / "ledger.jsonl").read_bytes().splitlines()
    began = time.perf_counter()
    records = [TermRecord.model_validate_json(line) for line in lines]
    parents = [record.hash for record in records]
    checking = (time.perf_counter() - began) / len(records)
    assert [record.parent for record in records[1:]] == parents[:-1]
    costs = [cost for record in records for cost in record.cost.values()]
    traffic = sum(cost.bytes_sent + cost.bytes_received for cost in costs)
    return Roster(
        vendors,
        found.seconds,
        median(each.memory for each in found.rounds[1:]),
        traffic / len(records) / vendors,
        mean(map(len, lines)),
        checking,
    )


if __name__ == "__main__":
    sys.exit(main("rosters", run, (__doc__ or "").splitlines()[0]))
