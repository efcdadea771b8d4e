"""The wall time of an SRFLM round against a stock Flower FedAvg round with the same training.

Both run in Flower's simulation engine with the same vendors, phantom data, network, CPUs, and
gradient steps (counted, and required to be equal), and both evaluate on the vendors' validation
splits. FedAvg is Flower's own, ``flwr.serverapp.strategy.FedAvg().start(...)``, over a ClientApp
that trains, evaluates, and keeps nothing. An SRFLM round does more: it opens the term, fine-tunes
at the server after the clients, evaluates two models, keeps personalised ones, and commits durably
to every vendor's ledger.

Clients and server train ten epochs each, on 96 images per vendor. The seconds of a round are the
median time between the ends of consecutive rounds after the first two. Every case is measured in
turn (A B A B), and ratios are of neighbours.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.fedavg_simulation import simulate_fedavg
from benchmarks.measuring.markdown import table
from benchmarks.measuring.round_times import (
    WARM_UP_ROUNDS,
    RoundEnd,
    check_equal_work,
    seconds_a_round,
)
from benchmarks.measuring.section import main
from benchmarks.measuring.spread import Spread, alternate, ratios, spread
from deploy.simulation.simulation import simulate
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, with_changes
from srflm_flower.run.folder import create_run_folder
from strategies.errors import SimulationError

TARGET = 1.10
PHASES = ("open", "train", "finetune", "evaluate")
EPOCHS = 10
EXAMPLES = 160  # of each vendor, over all splits: 96 for training
COMMIT = "commit and the rest"


@dataclass(frozen=True)
class Case:
    """A number of vendors on a number of CPUs.

    Clients train in waves of as many as there are CPUs, and SRFLM's server after them. The times
    can be compared only if both methods have the same number of waves.
    """

    vendors: int
    cpus: int

    @property
    def waves(self) -> tuple[int, int]:
        """Return the waves of SRFLM (clients, then the server) and those of FedAvg."""
        return -(-(self.vendors - 1) // self.cpus) + 1, -(-self.vendors // self.cpus)

    @property
    def is_like_for_like(self) -> bool:
        """Return whether both methods have the same number of waves."""
        # With another number of waves the methods differ by construction, not by overhead.
        ours, theirs = self.waves
        return ours == theirs


# The third has three waves against two, and shows the price of the server's turn.
CASES = (Case(4, 1), Case(5, 2), Case(4, 2))


@dataclass(frozen=True)
class SrflmTimes:
    """Round ends of an SRFLM run, and the seconds of every phase in every round."""

    ends: list[RoundEnd]
    costs: list[dict[str, float]]

    def phases(self) -> dict[str, float]:
        """Return the median seconds of each phase, and of the commit and all between phases."""
        rounds = list(zip(pairwise(self.ends), self.costs[1:], strict=True))[WARM_UP_ROUNDS - 1 :]
        found = {name: median(cost.get(name, 0.0) for _, cost in rounds) for name in PHASES}
        rest = [now.time - then.time - sum(cost.values()) for (then, now), cost in rounds]
        return {**found, COMMIT: median(rest)}


@dataclass(frozen=True)
class CaseResult:
    """One case: gradient steps and seconds per round, their ratio, and SRFLM's phases."""

    case: Case
    steps: int
    srflm: Spread
    fedavg: Spread
    ratio: Spread
    phases: dict[str, float]

    @property
    def verdict(self) -> str:
        """Return "met" or "missed", or that the case has no target."""
        if not self.case.is_like_for_like:
            return "differs by construction"
        return "met" if self.ratio.median <= TARGET else "missed"


@dataclass(frozen=True)
class RoundOverhead:
    """All cases."""

    cases: tuple[CaseResult, ...]

    def as_markdown(self) -> str:
        """Return the times and ratios, and below them the seconds of SRFLM's phases."""
        times = table(
            (
                "vendors",
                "CPUs",
                "waves SRFLM / FedAvg",
                "steps a round",
                "SRFLM s/round",
                "FedAvg s/round",
                "ratio, median (range)",
                f"≤ {TARGET:.2f}",
            ),
            [
                (
                    each.case.vendors,
                    each.case.cpus,
                    "{} / {}".format(*each.case.waves),
                    each.steps,
                    each.srflm,
                    each.fedavg,
                    each.ratio,
                    each.verdict,
                )
                for each in self.cases
            ],
        )
        phases = table(
            ("vendors", "CPUs", *PHASES, COMMIT),
            [
                (each.case.vendors, each.case.cpus, *(f"{s:.2f}" for s in each.phases.values()))
                for each in self.cases
            ],
        )
        return f"{times}\nSeconds of an SRFLM round by phase (medians):\n\n{phases}"


def run(quick: bool, folder: Path) -> RoundOverhead:
    """Measure all cases, or in a hurry the first alone."""
    cases, pairs, rounds = (CASES[:1], 1, 4) if quick else (CASES, 2, 7)
    return RoundOverhead(tuple(measure(case, pairs, rounds, folder) for case in cases))


def measure(case: Case, pairs: int, rounds: int, folder: Path) -> CaseResult:
    """Measure one case ``pairs`` times."""
    federation = same_work_federation(case.vendors, rounds)
    name = f"{case.vendors}-on-{case.cpus}"

    def srflm(pair: int) -> SrflmTimes:
        return time_srflm(federation, case.cpus, folder / f"srflm-{name}-{pair}")

    def fedavg(pair: int) -> list[RoundEnd]:
        out = create_run_folder(federation, folder / f"fedavg-{name}-{pair}", folder)
        return simulate_fedavg(out, case.cpus)

    ours, theirs = alternate(srflm, fedavg, pairs)
    steps = {check_equal_work(a.ends, b) for a, b in zip(ours, theirs, strict=True)}
    our_seconds = [seconds_a_round(each.ends) for each in ours]
    their_seconds = [seconds_a_round(ends) for ends in theirs]
    phases = [each.phases() for each in ours]
    return CaseResult(
        case,
        max(steps),
        spread(our_seconds),
        spread(their_seconds),
        ratios(our_seconds, their_seconds),
        {name: median(each[name] for each in phases) for name in (*PHASES, COMMIT)},
    )


def same_work_federation(vendors: int, rounds: int) -> Federation:
    """Return the phantom federation with equal epochs at server and clients."""
    return with_changes(
        built_in_federation(vendors),
        data__examples=EXAMPLES,
        training__client_epochs=EPOCHS,
        training__server_epochs=EPOCHS,  # as in FedAvg, where all vendors are clients
        run__rounds=rounds,
        run__device="cpu",
    )


def time_srflm(federation: Federation, cpus: int, out: Path) -> SrflmTimes:
    """Run SRFLM; take the rounds' ends from its events."""
    ends: list[RoundEnd] = []
    costs: list[dict[str, float]] = []

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "term-committed":
            record = event["record"]
            steps = sum(record["steps"].values())
            ends.append(RoundEnd(record["round"], event["time"], steps))
            costs.append({name: cost["seconds"] for name, cost in record["cost"].items()})

    summary = simulate(create_run_folder(federation, out, out.parent), on_event, cpus)
    if summary.status != "completed":
        raise SimulationError(summary.what_happened, "a complete run", f"look into {out}")
    return SrflmTimes(ends, costs)


if __name__ == "__main__":
    sys.exit(main("round_overhead", run, (__doc__ or "").splitlines()[0]))
