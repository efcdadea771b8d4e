"""Run the study, or go on with it: ``python -m benchmarks.study``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from benchmarks.measuring.alarms import alarms_table
from benchmarks.study.fresh import fresh_text
from benchmarks.study.picture import critical_difference_picture
from benchmarks.study.ranks import Ranking, rank_methods
from benchmarks.study.tasks import Study, StudyTask, load_study
from clients.files.durable import write_durably
from srflm_flower.attacks.resilience import told
from srflm_flower.comparison.compare import compare
from srflm_flower.comparison.result import METHODS, MethodResult
from srflm_flower.comparison.tables import aligned, whole_text
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes
from srflm_flower.federation.preflight import check_before_simulation
from srflm_flower.report.rendering import png_of
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.ledger import Ledger
from strategies.errors import SrflmError

DEFAULT = Path(__file__).parent / "study.toml"
PROXIMAL = 0.1
QUICK_ROUNDS = 2
Results = dict[str, tuple[Federation, list[MethodResult]]]


@dataclass(frozen=True)
class Text:
    """The tables of a study."""

    text: str

    def as_markdown(self) -> str:
        """Return them, below a heading of their own."""
        return self.text.removeprefix("# Study\n").replace("\n## ", "\n### ").strip()


def run(quick: bool, folder: Path) -> Text:
    """Run the whole study, or in a hurry one seed and two rounds of each task."""
    main(["--out", str(folder), *(["--quick"] if quick else [])])
    return Text((folder / "study.md").read_text(encoding="utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tasks named on the command line, one after the other; write all tables."""
    chosen = _parser().parse_args(arguments)
    study = load_study(chosen.study)
    unknown = set(chosen.only or ()) - {task.name for task in study.tasks}
    if unknown:
        print(f"no task {', '.join(sorted(unknown))} in {chosen.study}", file=sys.stderr)
        return 2
    tasks = [task for task in study.tasks if not chosen.only or task.name in chosen.only]
    found: Results = {}
    fresh: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for task in tasks:
        try:
            federation, results = _run(task, study, chosen, lambda line: print(line, flush=True))
            fresh[task.name] = fresh_text(federation, results, chosen.out.resolve() / task.name)
            found[task.name] = federation, results
        except SrflmError as error:  # mostly: the data is not there
            left_out[task.name] = str(error)
            print(f"{task.name}: left out: {error}", file=sys.stderr)
        # After each task: hours of runs must not hang on the last.
        write_study(chosen.out, study, found, left_out, fresh)
    print(f"Written: {chosen.out / 'study.md'}")
    return 0 if found else 1


def _run(
    task: StudyTask, study: Study, chosen: argparse.Namespace, show: Callable[[str], None]
) -> tuple[Federation, list[MethodResult]]:
    federation = task.load(chosen.study.parent)
    if chosen.quick:
        federation = with_changes(federation, run__rounds=QUICK_ROUNDS)
    check_before_simulation(federation)
    seeds = 1 if chosen.quick else chosen.seeds or task.seeds or study.seeds
    results = compare(
        federation,
        task.methods(study),
        [federation.seed + number for number in range(seeds)],
        (chosen.out / task.name).resolve(),
        chosen.cpus,
        PROXIMAL,
        lambda each: show(f"{task.name}: {each.method}, seed {each.seed}"),
    )
    return federation, results


def write_study(
    out: Path,
    study: Study,
    found: Results,
    left_out: Mapping[str, str],
    fresh: Mapping[str, str],
) -> None:
    """Write ``study.md``, ``study.json``, and the pictures of ranks, from what there is so far.

    ``fresh`` has the tables of the tasks whose models were measured on fresh images.
    """
    parts = ["# Study\n"]
    rankings = {
        "personalised": _ranking(found, personalised),
        "released": _ranking(found, released),
    }
    for what, ranking in rankings.items():
        if ranking is not None:
            parts.append(f"## Average ranks, {what} models\n\n{_ranks_table(ranking)}")
            picture = critical_difference_picture(ranking)
            write_durably(out / f"ranks-{what}.png", png_of(picture))
    for name, (federation, results) in found.items():
        methods = [m for m in METHODS if any(each.method == m for each in results)]
        parts.append(f"## {name}\n\n{whole_text(federation, methods, results)}")
        parts += [_false_alarms(federation, results, out / name), fresh[name]]
    parts += [f"## {name}\n\nLeft out: {why}\n" for name, why in left_out.items()]
    write_durably(out / "study.md", "\n".join(parts).encode())
    data = {
        "study": study.model_dump(mode="json", by_alias=True),
        "results": {name: [r.model_dump() for r in runs] for name, (_, runs) in found.items()},
        "left-out": sorted(left_out),
    }
    write_durably(out / "study.json", json.dumps(data, indent=2).encode())


def _false_alarms(federation: Federation, results: list[MethodResult], folder: Path) -> str:
    """Return how often a guard would have refused the honest terms of SRFLM's runs in ``folder``.

    The study's other methods commit no terms.
    """
    runs = [folder / f"{r.method}-{r.seed}" for r in results if r.method == "srflm"]
    metric, terms = federation.task.metric, []
    for run in map(RunFolder, runs):
        ledger = Ledger(run.ledger, load_federation(run.federation_file).hash)
        terms.append(told(ledger.records(), metric))
    if not terms:
        return ""
    vendors = len(federation.roster)
    return (
        "Honest terms in which a guard would have refused (`aggregation.guard`), SRFLM, all seeds:"
        f"\n\n{alarms_table(terms, metric, vendors)}\n"
    )


def personalised(result: MethodResult) -> float | None:
    """Return the mean over the vendors of their personalised models' metrics."""
    return mean(result.personalised.values()) if result.personalised else None


def released(result: MethodResult) -> float | None:
    """Return the metric of the global model on all test images."""
    return result.global_all


def _ranking(found: Results, value: Callable[[MethodResult], float | None]) -> Ranking | None:
    table: dict[str, dict[str, float]] = {}
    for name, (_, results) in found.items():
        for method in {each.method for each in results}:
            numbers = [v for r in results if r.method == method and (v := value(r)) is not None]
            if numbers:
                table.setdefault(method, {})[name] = mean(numbers)
    # A method that cannot run a task would take that task from all.
    whole = [m for m in METHODS if m in table and len(table[m]) == len(found)]
    return rank_methods({method: table[method] for method in whole})


def _ranks_table(ranking: Ranking) -> str:
    ordered = sorted(ranking.ranks.items(), key=lambda each: each[1])
    rows = [[method, f"{rank:.2f}"] for method, rank in ordered]
    return aligned(["method", "average rank"], rows) + (
        f"\nTasks: {ranking.tasks}; Friedman's p = {ranking.p:.3g}; two methods differ if their"
        f" ranks differ by {ranking.critical:.2f} or more (Nemenyi, α = 0.05).\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.study", description="All tasks × methods × seeds of one file."
    )
    parser.add_argument(
        "study", nargs="?", type=Path, default=DEFAULT, help="the file of the study"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs") / "study", help="folder; go on there"
    )
    parser.add_argument("--quick", action="store_true", help="one seed and two rounds")
    parser.add_argument("--only", nargs="+", metavar="TASK", help="some of the tasks")
    parser.add_argument("--seeds", type=int, help="instead of the file's")
    parser.add_argument("--cpus", type=int, default=os.cpu_count() or 1, help="runs at a time")
    return parser


if __name__ == "__main__":
    sys.exit(main())
