"""One vendor that lies, as client and as server: SRFLM's defences and FedAvg on several tasks.

Metrics are of the honest vendors on their own test data, next to the same without the attack, means
over the seeds. The second table counts over honest runs how often a guard would have refused.
Give the same --out again to go on after an interruption: a run that is there is not made again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring.alarms import alarms_table, bounds_of
from benchmarks.measuring.data import missing_data
from benchmarks.measuring.machine import this_machine
from benchmarks.measuring.markdown import table
from benchmarks.measuring.section import section
from clients.settings import FileData
from srflm_flower.attacks.poisoning import KINDS, Attack, Kind
from srflm_flower.attacks.resilience import (
    COLUMNS,
    PLAIN,
    Case,
    Outcome,
    compare_under_attack,
    defences,
    row,
)
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes
from strategies.errors import ConfigurationError

EXAMPLES = Path(__file__).parents[1] / "examples"
TASKS: Mapping[str, str] = {
    "phantom": "",
    "phantom-segmentation": "phantom-segmentation/federation.toml",
    "phantom-lowdose": "phantom-lowdose/federation.toml",
    "pbc": "pbc/dirichlet-0.5.toml",
    "hippocampus": "hippocampus/federation.toml",
}


def federation_of(task: str) -> Federation:
    """Return a task's federation, on the CPU, where several runs can go on side by side."""
    path = TASKS[task]
    federation = load_federation(EXAMPLES / path) if path else built_in_federation()
    return with_changes(federation, run__device="cpu")


def missing(federation: Federation) -> str:
    """Return a message about missing data, or ""."""
    folders = [vendor.path for vendor in federation.vendors if vendor.path is not None]
    if isinstance(federation.data, FileData) and not all(path.exists() for path in folders):
        return "its data are not there (the example's README says how to get them)"
    return missing_data(federation)


@dataclass(frozen=True)
class Plan:
    """What is run: the names of tasks, attacks, and defences (empty: all), seeds, rounds."""

    tasks: tuple[str, ...] = ("phantom",)
    attacks: tuple[Kind, ...] = KINDS
    defences: tuple[str, ...] = ()
    attackers: int = 1
    seeds: int = 3
    rounds: int | None = None
    cpus: int = 1


@dataclass(frozen=True)
class Poisoned:
    """The tables of all tasks."""

    parts: tuple[str, ...]

    def as_markdown(self) -> str:
        """Return two tables a task."""
        return "\n".join(self.parts)


def measured(plan: Plan, folder: Path) -> Poisoned:
    """Run everything in ``plan`` that ``folder`` does not have yet."""
    return Poisoned(tuple(_task(task, plan, folder / task) for task in plan.tasks))


def _task(task: str, plan: Plan, folder: Path) -> str:
    federation = federation_of(task)
    if plan.rounds is not None:
        federation = with_changes(federation, run__rounds=plan.rounds)
    head, absent = f"### {task}\n\n", missing(federation)
    if absent:
        return f"{head}Left out: {absent}\n"
    metric, roster = federation.task.metric, federation.roster
    guard = bounds_of(metric)[1]
    names = [d for d in defences(federation, guard) if d in (plan.defences or (d,))]
    attacks = [a for kind in plan.attacks if _fits(a := Attack(kind, plan.attackers), federation)]
    seeds = [federation.seed + n for n in range(plan.seeds)]
    cases = [Case(n, a, seed) for seed in seeds for n in names for a in (None, *attacks)]
    cases += [Case(PLAIN, None, seed) for seed in seeds]  # the honest runs
    found = compare_under_attack(federation, cases, folder, plan.cpus, _show, guard)
    rows = [(a.kind, name, *row(found, name, a, roster)) for a in attacks for name in names]
    honest = [o.terms for case, o in found.items() if (case.defence, case.attack) == (PLAIN, None)]
    about = f"{metric}, {federation.run.rounds} rounds, {plan.seeds} seed(s), {len(roster)} vendors"
    return (
        f"{head}{about}; {plan.attackers} attacker(s); guard {guard:g}:\n\n"
        + table(("attack", "defence", *COLUMNS), rows)
        + "\nHonest terms in which a guard would have refused:\n\n"
        + alarms_table(honest, metric, len(roster))
    )


def _fits(attack: Attack, federation: Federation) -> bool:
    try:
        attack.check(federation.roster, federation.task)
    except ConfigurationError:
        return False
    return True


def _show(case: Case, outcome: Outcome) -> None:
    print(case.name, outcome.result.stopped, file=sys.stderr, flush=True)


def run(quick: bool, folder: Path) -> Poisoned:
    """Measure all tasks with 3 seeds, or in a hurry the phantom with one."""
    cpus = os.cpu_count() or 1
    quickly = Plan(attacks=("sign-flip", "scaled"), seeds=1, rounds=4, cpus=cpus)
    return measured(quickly if quick else Plan(tasks=tuple(TASKS), cpus=cpus), folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and print the section."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.poisoned", description=(__doc__ or "").splitlines()[0]
    )
    every = defences(built_in_federation(), 0.0)
    for name, known, default in (
        ("tasks", tuple(TASKS), ("phantom",)),
        ("attacks", KINDS, KINDS),
        ("defences", every, every),
    ):
        parser.add_argument(f"--{name}", nargs="+", choices=known, default=default)
    parser.add_argument("--attackers", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--cpus", type=int, default=os.cpu_count() or 1, help="runs at a time")
    parser.add_argument("--out", type=Path, default=Path("runs") / "poisoned")
    chosen = parser.parse_args(arguments)
    plan = Plan(
        tasks=tuple(chosen.tasks),
        attacks=tuple(chosen.attacks),
        defences=tuple(chosen.defences),
        attackers=chosen.attackers,
        seeds=chosen.seeds,
        rounds=chosen.rounds,
        cpus=chosen.cpus,
    )
    machine = this_machine()  # before the runs, whose own load must not be in the load average
    body = measured(plan, chosen.out.resolve()).as_markdown()
    options = "".join(f" {each}" for each in arguments or sys.argv[1:])
    print(section("poisoned", False, machine, body, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
