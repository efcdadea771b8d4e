"""Compare SRFLM's defences, and FedAvg, with and without an attack; only the honest are measured.

::

    <defence>-<attack>-<seed>/       a run
    <defence>-<attack>-<seed>.json   its outcome; a case that has one for the same settings and
                                     rounds is not run again
    attack.md, attack.json           the table, and all outcomes
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from clients.files.durable import write_durably
from srflm_flower.attacks.lying_sites import TakenOver
from srflm_flower.attacks.poisoning import Attack
from srflm_flower.comparison.compare import worker_pool
from srflm_flower.comparison.methods import MethodResult, run_baseline, run_srflm
from srflm_flower.comparison.private_plans import at_seed
from srflm_flower.comparison.resuming import begin_anew, name_of
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.ledger import Ledger
from strategies.errors import SimulationError
from strategies.protocol.records import TermRecord

FEDAVG: Final = "fedavg"
PLAIN = "mean"
"""The defence that is none: SRFLM with the plain mean, whose steps are FedAvg's budget."""


@dataclass(frozen=True)
class Case:
    """One run: a defence, by the name that :func:`defended` knows, an attack or none, a seed."""

    defence: str
    attack: Attack | None
    seed: int

    @property
    def name(self) -> str:
        """The name of its files."""
        attack = f"{self.attack.kind}-{self.attack.attackers}" if self.attack else "none"
        return f"{self.defence}-{attack}-{self.seed}"


class Outcome(BaseModel):
    """What came of a case: its result, its gradient steps, and each term's metric at each vendor.

    ``federation`` is its hash.  ``terms[t − 1]`` maps vendors to the metric of term t's model on
    their validation data.
    """

    model_config = ConfigDict(frozen=True)

    federation: str
    rounds: int
    result: MethodResult
    budget: StepBudget | None = None
    terms: tuple[dict[str, float], ...] = ()


def defences(federation: Federation, guard: float | None = None) -> tuple[str, ...]:
    """Return the defences that can be compared: rules, "guard" if it has a bound, and FedAvg."""
    # Below four vendors neither rule leaves anybody out.
    robust = ("trimmed-mean", "krum") if len(federation.roster) >= 4 else ()
    return (PLAIN, *robust, *(("guard",) if guard is not None else ()), FEDAVG)


def defended(federation: Federation, defence: str, guard: float | None = None) -> Federation:
    """Return the federation with this defence only; a rule that does not fit its size is adapted.

    ``guard`` is the bound of the defence "guard".
    """
    federation = with_changes(federation, aggregation__guard=None)
    if defence in (FEDAVG, PLAIN):
        return with_changes(federation, aggregation__rule="mean")
    if defence == "guard":
        return with_changes(federation, aggregation__rule="mean", aggregation__guard=guard)
    vendors, settings = len(federation.roster), federation.aggregation
    least = math.ceil(100 / (vendors - 1)) / 100  # so that one client at each end is left out
    return with_changes(
        federation,
        aggregation__rule=defence,
        aggregation__trim=max(settings.trim, least),
        aggregation__faulty=min(settings.faulty, (vendors - 4) // 2),
    )


def run_case(
    federation: Federation, case: Case, folder: Path, guard: float | None, budget: StepBudget | None
) -> tuple[Case, Outcome]:
    """Run a case, or read its outcome; FedAvg needs the ``budget`` of SRFLM with its seed."""
    changed = defended(at_seed(federation, case.seed), case.defence, guard)
    path, run = folder / f"{case.name}.json", folder / case.name
    settings: dict[str, Any] = {"federation": changed.hash, "rounds": changed.run.rounds}
    if path.exists():
        known = Outcome.model_validate_json(path.read_bytes())
        if known.model_dump(include=set(settings)) == settings:
            return case, known
    begin_anew(run, name_of(changed, case.name))  # of other settings, or it was interrupted
    tampering = TakenOver(case.attack) if case.attack is not None else None
    if case.defence == FEDAVG:
        assert budget is not None
        result = run_baseline(FEDAVG, changed, run, budget, 0.0, tampering=tampering)
        outcome = Outcome(**settings, result=result)
    else:
        result, spent = run_srflm(changed, run, tampering=tampering)
        terms = told(Ledger(RunFolder(run).ledger, changed.hash).records(), changed.task.metric)
        outcome = Outcome(**settings, result=result, budget=spent, terms=terms)
    write_durably(path, outcome.model_dump_json(indent=2).encode())
    return case, outcome


def told(records: Iterable[TermRecord], metric: str) -> tuple[dict[str, float], ...]:
    """Return for each term what the vendors have told of its fine-tuned model."""
    return tuple(
        {v: each.finetuned[metric] for v, each in r.metrics.items() if metric in each.finetuned}
        for r in records
    )


def compare_under_attack(
    federation: Federation,
    cases: Sequence[Case],
    folder: Path,
    workers: int,
    on_outcome: Callable[[Case, Outcome], None],
    guard: float | None = None,
) -> dict[Case, Outcome]:
    """Run all ``cases``, ``workers`` at a time; cases that FedAvg needs are run, too.

    ``on_outcome`` gets each as it comes.  Raises :class:`SimulationError` for runs that failed;
    all others have their files, and are not run again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    averaged = [case for case in cases if case.defence == FEDAVG]
    first = dict.fromkeys([case for case in cases if case.defence != FEDAVG])
    first |= dict.fromkeys(Case(PLAIN, None, case.seed) for case in averaged)
    found: dict[Case, Outcome] = {}
    failures: list[str] = []
    with worker_pool(workers) as pool:

        def submit(case: Case, budget: StepBudget | None = None) -> Future[tuple[Case, Outcome]]:
            return pool.submit(run_case, federation, case, folder, guard, budget)

        running = {submit(case) for case in first}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                error = future.exception()
                if error is not None:
                    failures.append(f"{type(error).__name__}: {error}")
                    continue
                case, outcome = future.result()
                found[case] = outcome
                on_outcome(case, outcome)
                if (case.defence, case.attack) == (PLAIN, None):
                    mine = [each for each in averaged if each.seed == case.seed]
                    running |= {submit(each, outcome.budget) for each in mine}
    if failures:
        raise SimulationError(
            f"{len(failures)} run(s) failed:\n" + "\n".join(f"  - {each}" for each in failures),
            f"{len(first) + len(averaged)} runs; {len(found)} are in {folder}",
            "mend the cause and give the same command with --out: what is there is not run again",
        )
    return found


def honest(result: MethodResult, liars: Sequence[str]) -> tuple[float | None, float | None]:
    """Return the mean personalised and released metric on the honest vendors' own test data."""
    return tuple(  # type: ignore[return-value]
        mean(values) if (values := [v for n, v in (of or {}).items() if n not in liars]) else None
        for of in (result.personalised, result.global_own)
    )


COLUMNS = ("personalised", "without attack", "released", "without attack", "success", "stopped")


def row(
    found: dict[Case, Outcome], defence: str, attack: Attack, roster: tuple[str, ...]
) -> tuple[str, ...]:
    """Return a defence's cells under ``COLUMNS``: means over the seeds, of the honest vendors.

    The honest are the same with and without the attack.
    """
    liars = attack.liars(roster)
    values: list[list[float]] = [[], [], [], [], []]
    stopped = runs = 0
    for case, outcome in found.items():
        if case.defence != defence or case.attack not in (attack, None):
            continue
        attacked = case.attack is not None
        for at, value in zip((0, 2), honest(outcome.result, liars), strict=True):
            values[at + (not attacked)] += [value] if value is not None else []
        if attacked and outcome.result.success is not None:
            values[4].append(outcome.result.success)
        runs += attacked
        stopped += attacked and bool(outcome.result.stopped)
    cells = [f"{mean(each):.3f}" if each else "–" for each in values]
    return (*cells, f"{stopped} of {runs}")


def as_table(
    found: dict[Case, Outcome], attack: Attack, names: Sequence[str], roster: tuple[str, ...]
) -> str:
    """Return a Markdown table with a row for each defence."""
    lines = ["| defence | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name in names:
        lines.append(f"| {name} | " + " | ".join(row(found, name, attack, roster)) + " |")
    return "\n".join(lines) + "\n"


def write_attack(folder: Path, table: str, attack: Attack, found: dict[Case, Outcome]) -> None:
    """Write the table, and the outcomes by the names of their cases."""
    write_durably(folder / "attack.md", table.encode())
    results = {case.name: outcome.model_dump(mode="json") for case, outcome in found.items()}
    data = {"attack": asdict(attack), "outcomes": results}
    write_durably(folder / "attack.json", json.dumps(data, indent=2).encode())
