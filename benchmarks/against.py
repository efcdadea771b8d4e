"""A term with trivial work, and a private step, against an older commit in the same run.

The older commit's files are taken from this repository into a temporary folder and run with the
same Python packages. Both versions are measured in turn (A B A B …), each in processes of its own,
and ratios are of neighbours. A term is one of four real sites on this machine; a private step is
one of ``benchmarks.private_step``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring.machine import this_machine
from benchmarks.measuring.markdown import table
from benchmarks.measuring.section import section
from benchmarks.measuring.spread import Spread, alternate, ratios, spread

# The last commit before elected servers and restored copies were no longer trusted.
BEFORE = "85b0aaf"
HERE = Path(__file__).parents[1]
PATIENCE = 1800.0  # seconds for one measurement
TARGETS = {"term": 1.10, "step": 1.20}
# Run by either version with its own modules; both have the names that are imported.
TERM = """
import json, sys
from pathlib import Path
from statistics import median
import psutil
from benchmarks.chaos import small_federation
from benchmarks.deployment_cost import run_terms, with_sites
from deploy.site.layout import Layout
from deploy.processes.supervisor import ProcessTable

def cpu_seconds(sites):
    seconds = 0.0
    for site in sites.values():
        up = Layout.of(site.settings).up.read_bytes()
        notes = ProcessTable.model_validate_json(up)
        top = psutil.Process(notes.supervisor)
        for process in (top, *top.children(recursive=True)):
            try:
                seconds += sum(process.cpu_times()[:4])  # of its ended children, too
            except psutil.Error:
                pass
    return seconds

def work(sites):
    run_terms(sites, 1)  # the first term pays for imports
    before = cpu_seconds(sites)
    seconds = run_terms(sites, int(sys.argv[2]))
    return median(seconds), (cpu_seconds(sites) - before) / int(sys.argv[2])

print(json.dumps(with_sites(Path(sys.argv[1]) / "sites", small_federation(4), work)))
"""
STEP = """
import json, sys, time
from statistics import median
from benchmarks.private_step import Step

def measure():
    wall, cpu = time.perf_counter(), time.process_time()
    step.do()
    return time.perf_counter() - wall, time.process_time() - cpu

step = Step(sys.argv[1], "auto")
step.do()  # the first step allocates, and chooses algorithms
measured = [measure() for _ in range(int(sys.argv[2]))]
print(json.dumps([median(each) for each in zip(*measured)]))
"""


@dataclass(frozen=True)
class Compared:
    """One measurement in both versions: seconds, their ratio, and the highest wanted ratio."""

    what: str
    now: Spread
    before: Spread
    ratio: Spread
    target: float


@dataclass(frozen=True)
class Against:
    """All measurements against ``commit``."""

    commit: str
    compared: tuple[Compared, ...]

    def as_markdown(self) -> str:
        """Return the table."""
        rows = [
            (
                each.what,
                each.now,
                each.before,
                each.ratio,
                f"≤ {each.target:.2f}",
                "met" if each.ratio.median <= each.target else "missed",
            )
            for each in self.compared
        ]
        columns = ("what", "now, s", f"{self.commit}, s", "ratio, median (range)", "goal", "")
        return table(columns, rows)


def compare(
    what: str, target: float, code: str, old: Path, pairs: int, *words: str
) -> list[Compared]:
    """Measure ``code`` with this version's modules and with those in ``old``, in turn.

    Returns wall time and CPU time; other programs on the machine change the first much more.
    """

    def measure(tree: Path, pair: int) -> tuple[float, float]:
        with tempfile.TemporaryDirectory(prefix="against-") as folder:
            wall, cpu = _seconds(tree, code, [word.replace("FOLDER", folder) for word in words])
        print(f"{what}, pair {pair + 1}, {tree.name}: {wall:.3f}, {cpu:.3f} s", file=sys.stderr)
        return wall, cpu

    ours, theirs = alternate(
        lambda pair: measure(HERE, pair), lambda pair: measure(old, pair), pairs
    )
    found = []
    for number, kind in enumerate(("wall", "CPU")):
        now, before = ([each[number] for each in both] for both in (ours, theirs))
        name = f"{what}, {kind} time"
        found.append(Compared(name, spread(now), spread(before), ratios(now, before), target))
    return found


def _seconds(tree: Path, code: str, words: Sequence[str]) -> tuple[float, float]:
    """Run ``code`` with the modules in ``tree``; return the two figures that it prints last."""
    ran = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tree,
        # For the sites' processes, too: they would otherwise import the installed version.
        env=os.environ | {"PYTHONPATH": str(tree), "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    wall, cpu = json.loads(ran.stdout.splitlines()[-1])
    return float(wall), float(cpu)


def tree_of(commit: str, folder: Path) -> Path:
    """Write the files of a commit of this repository into ``folder``; return it."""
    folder.mkdir()
    archive = folder.parent / "archive.tar"
    git = ["git", "-C", str(HERE), "archive", "--output", str(archive), commit]
    subprocess.run(git, check=True)
    subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)
    return folder


def run(commit: str, only: Sequence[str], pairs: int, terms: int, folder: Path) -> Against:
    """Measure both versions."""
    old = tree_of(commit, folder / commit)
    found: list[Compared] = []
    if "step" in only:
        for network in ("small-cnn", "resnet18"):
            what = f"a private step, {network}"
            steps = "10" if network == "small-cnn" else "3"
            found += compare(what, TARGETS["step"], STEP, old, pairs, network, steps)
    if "term" in only:
        words = ("FOLDER", str(terms))
        what = "a term with trivial work"
        found += compare(what, TARGETS["term"], TERM, old, pairs, *words)
    return Against(commit, tuple(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare from the command line and print a section of results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    parser.add_argument("--against", metavar="COMMIT", default=BEFORE)
    parser.add_argument("--only", choices=list(TARGETS), action="append")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--terms", type=int, default=8, help="whose median one measurement is")
    chosen = parser.parse_args(arguments)
    machine = this_machine()  # before the run, whose own load must not be in the load average
    with tempfile.TemporaryDirectory(prefix="bench-against-") as folder:
        only = chosen.only or list(TARGETS)
        found = run(chosen.against, only, chosen.pairs, chosen.terms, Path(folder))
    print(section("against", False, machine, found.as_markdown()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
