"""Run all benchmarks and write ``results.md``, whose figures docs/results.md quotes.

A benchmark that fails is noted in its section; the others run, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import (
    chaos,
    dead_site,
    deployment_cost,
    idle_sites,
    killed_servers,
    large_volumes,
    many_vendors,
    poisoned,
    private_features,
    private_step,
    private_utility,
    rosters,
    round_overhead,
    secure_aggregation,
    throughput,
)
from benchmarks.measuring.machine import this_machine
from benchmarks.measuring.section import Benchmark, measure, section
from benchmarks.study import __main__ as study

BENCHMARKS: Mapping[str, Benchmark] = {
    "round_overhead": round_overhead.run,
    "many_vendors": many_vendors.run,
    "rosters": rosters.run,
    "throughput": throughput.run,
    "large_volumes": large_volumes.run,
    "private_step": private_step.run,
    "private_utility": private_utility.run,
    "private_features": private_features.run,
    "secure_aggregation": secure_aggregation.run,
    "poisoned": poisoned.run,
    "study": study.run,
    "deployment_cost": deployment_cost.run,
    "idle_sites": idle_sites.run,
    "dead_site": dead_site.run,
    "killed_servers": killed_servers.run,
    "chaos": chaos.run,
}
HEAD = "# Results of the benchmarks\n\nWritten by `python -m benchmarks.run_all`; do not edit.\n"
PUBLISHED = Path(__file__).parent
PRIVATE = Path("runs") / "benchmarks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks named on the command line."""
    chosen = _parser().parse_args(arguments)
    # Only a complete run may replace the published figures.
    whole = not chosen.quick and set(chosen.only) == set(BENCHMARKS)
    out: Path = chosen.out or (PUBLISHED if whole else PRIVATE)
    failed = run_all(chosen.only, bool(chosen.quick), out / "results.md", print)
    print(f"Written: {out / 'results.md'}")
    for name in failed:
        print(f"{name} failed", file=sys.stderr)
    return 1 if failed else 0


def run_all(
    names: Sequence[str],
    quick: bool,
    results: Path,
    show: Callable[[str], None],
    benchmarks: Mapping[str, Benchmark] = BENCHMARKS,
) -> list[str]:
    """Run benchmarks by name, and write ``results`` after each; return the names of failed ones."""
    sections, failed = [HEAD], []
    results.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        try:
            text = measure(name, benchmarks[name], quick)
        except Exception as error:  # the other benchmarks still run
            traceback.print_exception(error)
            text = section(name, quick, this_machine(), f"Failed: {type(error).__name__}.")
            failed.append(name)
        show(text)
        sections.append(text)
        # After every benchmark: an hour's figures must not depend on the last one.
        results.write_text("\n".join(sections), encoding="utf-8")
    return failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run_all", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="minutes instead of an hour")
    parser.add_argument(
        "--only",
        type=_names,
        default=list(BENCHMARKS),
        metavar="NAME,...",
        help=f"some of {', '.join(BENCHMARKS)}",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where results.md goes; default: the folder of the benchmarks,"
        f" but {PRIVATE} for a run that is quick or not of all",
    )
    return parser


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"found {', '.join(unknown) or 'nothing'}; expected some of {', '.join(BENCHMARKS)}"
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
