"""The cost of a deployed term: four real sites on this machine, with keys and mutual TLS.

The figures are the seconds of a term with trivial work (warm workers, and stock ones), the seconds
from a commit to the next server's first message, the bytes on the wire for a model of 45 MB, idle
memory and CPU of a site, and the time of a rotating term against one with a fixed server.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import psutil

from benchmarks.chaos import small_federation
from benchmarks.chaos_faults import processes_of
from benchmarks.measuring.markdown import table
from benchmarks.measuring.process_memory import MIB, resident
from benchmarks.measuring.section import main
from clients.files.rotation import all_lines
from deploy.operating.local_consortium import bring_up_all, make_or_open
from deploy.operating.run_orders import order_rounds
from deploy.operating.running import bring_down, read_notes
from deploy.site.deployed_site import DeployedSite
from deploy.site.layout import Layout
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes

Sites = Mapping[str, DeployedSite]
Found = TypeVar("Found")
PATIENCE = 900.0  # seconds
IDLE_SECONDS = 20.0  # over which the CPU use is averaged
# Programs on demand end a minute after their last work, and polling slows down after it.
SETTLE_SECONDS = 270.0


@dataclass(frozen=True)
class Idle:
    """A site without a run: PSS in MiB, CPU in percent of one core."""

    memory: float
    cpu: float
    by_program: dict[str, float]


@dataclass(frozen=True)
class DeploymentCost:
    """The figures; seconds are medians over terms."""

    warm: float
    stock: float
    handover: float
    handover_worst: float
    model_bytes: int
    wire_ratio: float
    wire_seconds: float
    idle: Idle
    rotating: float
    fixed: float

    def as_markdown(self) -> str:
        """Return the figures."""
        rows = [
            ["a term with trivial work, warm workers", f"{self.warm:.2f} s", "≤ 3 s"],
            ["the same, stock workers with our polling", f"{self.stock:.2f} s", "–"],
            [
                "commit → next server's first message, median (worst)",
                f"{self.handover:.2f} ({self.handover_worst:.2f}) s",
                "≤ 1 s",
            ],
            [
                f"bytes on the wire a round / 2·(N−1)·|W|, |W| = {self.model_bytes / 1e6:.1f} MB",
                f"{self.wire_ratio:.3f}",
                "≤ 1.1",
            ],
            ["a round with that model", f"{self.wire_seconds:.1f} s", "–"],
            ["idle memory of a site (PSS)", f"{self.idle.memory:.0f} MiB", "≤ 250 MiB"],
            ["idle CPU of a site", f"{self.idle.cpu:.1f} % of a core", "≤ 1 %"],
            [
                f"a term with {self.fixed:.0f} s of work: rotating / fixed server",
                f"{self.rotating / self.fixed:.2f}",
                "≤ 1.1",
            ],
        ]
        parts = ", ".join(f"{name} {mib:.0f}" for name, mib in self.idle.by_program.items())
        return table(["what", "measured", "goal"], rows) + f"\n\nIdle memory by program: {parts}."


def with_sites(
    folder: Path, federation: Federation, work: Callable[[Sites], Any], **settings: object
) -> Any:
    """Bring sites up, do ``work``, bring them down."""
    sites = make_or_open(folder, federation, **settings)
    try:
        unseen = bring_up_all(sites)
        assert not unseen, unseen
        return work(sites)
    finally:
        for site in sites.values():
            bring_down(site.folder)


def run_terms(sites: Sites, terms: int) -> list[float]:
    """Run terms; return the seconds between consecutive commits at the servers."""
    first = next(iter(sites.values()))
    wanted, until = len(first.state.ledger) + terms, time.monotonic() + PATIENCE
    started = time.time()
    order_rounds(first, wanted)
    while any(len(site.state.ledger) < wanted for site in sites.values()):
        assert time.monotonic() < until, "the terms did not end"
        time.sleep(0.2)
    time.sleep(2.0)  # the last server is still telling the others
    ends = sorted(e["time"] for e in events(sites, started) if e["event"] == "term-committed")
    return [later - earlier for earlier, later in pairwise(ends)]


def events(sites: Sites, since: float) -> list[dict[str, Any]]:
    """Return the servers' events after ``since`` (seconds since 1970), in order of time."""
    found = []
    for site in sites.values():
        found += [json.loads(line) for line in all_lines(site.settings.logs / "events.jsonl")]
    later = [event for event in found if event["time"] >= since]
    return sorted(later, key=lambda event: float(event["time"]))


def handovers(sites: Sites, since: float) -> list[float]:
    """Return the seconds from each commit after ``since`` to the opening of the next term."""
    seconds, committed = [], None
    for event in events(sites, since):
        if event["event"] == "term-committed":
            committed = event["time"]
        elif event["event"] == "term-opened" and committed is not None:
            seconds.append(event["time"] - committed)
            committed = None
    return seconds


def measure_idle(sites: Sequence[DeployedSite]) -> list[Idle]:
    """Measure sites without work, all over the same time."""
    time.sleep(SETTLE_SECONDS)
    groups = [_programs(site) for site in sites]
    processes = [[p for group in programs.values() for p in group] for programs in groups]
    before = [[cpu_seconds(p) for p in each] for each in processes]
    time.sleep(IDLE_SECONDS)
    after = [[cpu_seconds(p) for p in each] for each in processes]
    found = []
    for programs, began, ended in zip(groups, before, after, strict=True):
        by_program = {name: resident(group) / MIB for name, group in programs.items()}
        spent = sum(max(0.0, late - early) for early, late in zip(began, ended, strict=True))
        percent = 100 * spent / IDLE_SECONDS
        found.append(Idle(sum(by_program.values()), percent, by_program))
    return found


def _programs(site: DeployedSite) -> dict[str, list[psutil.Process]]:
    """Return the processes of a site by program."""
    notes = read_notes(Layout.of(site.settings))
    assert notes is not None
    supervisor = psutil.Process(notes.supervisor)
    # The supervisor's own helper is not among the site's programs.
    own = [p for p in supervisor.children() if "watchdog" in " ".join(p.cmdline())]
    return {**dict(processes_of(site)), "supervisor": [supervisor, *own]}


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time that a process has used; 0 if it has ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def wire_bytes(sites: Sites) -> int:
    """Return the bytes through the edges so far, requests and answers, as nginx counts them."""
    # Inbound logs alone: every call is inbound at exactly one site.
    total = 0
    for site in sites.values():
        log = Layout.of(site.settings).edge / "logs" / "in.jsonl"
        for line in all_lines(log):
            entry = json.loads(line)
            total += int(entry["in"]) + int(entry["out"])
    return total


def run(quick: bool, folder: Path) -> DeploymentCost:
    """Measure everything; quick: fewer terms."""
    warm, gaps, idle = _tell("warm", measure_warm(folder, 4 if quick else 8))
    size, ratio, wire_seconds = _tell("wire", measure_wire(folder, 2 if quick else 4))
    rotating, fixed = _tell("rotating, fixed", measure_rotation(folder, 2 if quick else 3))
    stock = _tell("stock", measure_stock(folder))
    return DeploymentCost(
        warm=median(warm),
        stock=median(stock),
        handover=median(gaps),
        handover_worst=max(gaps),
        model_bytes=size,
        wire_ratio=ratio,
        wire_seconds=wire_seconds,
        idle=idle,
        rotating=median(rotating),
        fixed=median(fixed),
    )


def measure_warm(folder: Path, terms: int) -> tuple[list[float], list[float], Idle]:
    """Return seconds a term with trivial work, seconds from commit to opening, and a site idle."""

    def work(sites: Sites) -> tuple[list[float], list[float], Idle]:
        run_terms(sites, 1)  # the first term pays for imports
        started = time.time()
        seconds = run_terms(sites, terms)
        (idle,) = measure_idle([next(iter(sites.values()))])
        return seconds, handovers(sites, started), idle

    found: tuple[list[float], list[float], Idle] = with_sites(
        folder / "warm", small_federation(4), work
    )
    return found


def measure_stock(folder: Path) -> list[float]:
    """Return the seconds of terms with workers that start Python and torch for every message."""
    # On few cores these starts exceed the usual deadlines.
    patient = with_changes(
        small_federation(4), run__answer_deadline=120.0, run__work_deadline=600.0
    )
    seconds: list[float] = with_sites(
        folder / "stock", patient, lambda sites: run_terms(sites, 2), worker="stock"
    )
    return seconds


def measure_wire(folder: Path, rounds: int) -> tuple[int, float, float]:
    """Return a large model's bytes, the bytes on the wire over 2·(N−1) models, seconds a round."""
    # Without an evaluation of the averaged model, which would have to travel too.
    heavy = with_changes(small_federation(4), model__network="resnet18", evaluate_averaged=False)

    def work(sites: Sites) -> tuple[int, float, float]:
        run_terms(sites, 1)
        before = wire_bytes(sites)
        seconds = run_terms(sites, rounds)
        site = next(iter(sites.values()))
        size = len(site.initial.data)
        least = 2 * (len(sites) - 1) * size * rounds
        return size, (wire_bytes(sites) - before) / least, median(seconds[-rounds:])

    found: tuple[int, float, float] = with_sites(folder / "heavy", heavy, work)
    return found


def measure_rotation(folder: Path, terms: int) -> tuple[list[float], list[float]]:
    """Return seconds a term with some 10 s of training: with rotation, and with a fixed server."""
    rotating = with_changes(
        small_federation(4),
        data__examples=400,
        training__client_epochs=24,
        training__server_epochs=12,
    )
    fixed = with_changes(rotating, election__policy="fixed", election__server=rotating.roster[0])
    # One term more, as n commits have n − 1 intervals.
    one, other = (
        with_sites(folder / name, federation, lambda sites: run_terms(sites, terms + 1))
        for name, federation in (("rotating", rotating), ("fixed", fixed))
    )
    return one, other


def _tell(what: str, found: Found) -> Found:
    """Print a result at once, as the rest takes minutes and may fail; return it."""
    print(f"{what}: {found}", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main("deployment_cost", run, __doc__.splitlines()[0]))
