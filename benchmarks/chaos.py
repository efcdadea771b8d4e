"""A federation of real sites under forty faults: is every term committed, once, everywhere?

Four sites on this machine run 20 terms of trivial work. Meanwhile, at random times, single
processes, the serving site, or a whole other site are killed; a site is stopped for a minute, a
link is cut, all links are slow, a clock is moved by an hour, a disk is full; a site's state
vanishes while it runs, an old copy of its whole folder is put back, or a copy of it runs beside
it. Faults that this user or machine cannot cause are replaced by a cut link, and the result says
so. At the end all ledgers must be equal and verified.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.chaos_faults import Fault, bring_back, small_disk
from benchmarks.faults.clock import Clock
from benchmarks.faults.links import own_loopback
from benchmarks.faults.striker import KINDS, Striker
from benchmarks.measuring.machine import this_machine
from benchmarks.measuring.section import section
from deploy.operating.local_consortium import bring_up_all, make_or_open, unseen
from deploy.operating.run_orders import order_rounds
from deploy.operating.running import bring_down
from deploy.site.deployed_site import DeployedSite
from deploy.site.verification import verify_site
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, with_changes
from srflm_flower.site.evidence.contradictions import contradictions
from srflm_flower.site.evidence.signed_votes import evidence
from strategies.errors import SrflmError

SEED = 14
LONGEST_SECONDS = 2400.0
FULFILLED = "**all terms committed, ledgers equal and verified**"


@dataclass
class Chaos:
    """The faults of a run and its results; times in seconds."""

    striker: Striker
    wanted_faults: int
    wanted_terms: int
    seed: int = SEED
    handovers: list[float] = field(default_factory=list)
    seconds: float = 0.0
    problem: str = ""
    standins: int = 0

    @property
    def sites(self) -> dict[str, DeployedSite]:
        """The sites by vendor."""
        return self.striker.sites

    def run(self) -> None:
        """Cause the faults evenly over the terms; then wait until all sites agree."""
        chooser, started = random.Random(self.seed), time.monotonic()
        order_rounds(next(iter(self.sites.values())), self.wanted_terms)
        times = -(-self.wanted_faults // len(KINDS))
        kinds = chooser.sample(KINDS * times, self.wanted_faults)
        for number, kind in enumerate(kinds):
            # By terms, not by time: a slow machine would get all faults in the first terms.
            self.striker.wait_for_term(number * self.wanted_terms // self.wanted_faults)
            time.sleep(chooser.uniform(0.0, 4.0))  # to strike in any phase of the term
            self.striker.strike(kind, chooser)
        while not self._equal() and time.monotonic() - started < LONGEST_SECONDS:
            time.sleep(1.0)
        self.seconds = time.monotonic() - started
        self.problem = self._problem()
        records = next(iter(self.sites.values())).state.ledger.records()
        self.standins = sum(record.attempt > 0 for record in records)
        self.handovers = [
            seconds
            for fault in self.striker.faults
            if (seconds := self._until_next_opening(fault)) is not None
        ]

    def _problem(self) -> str:
        """Verify all sites as ``srflm verify`` does; return the first problem, or nothing."""
        hashes = set()
        for vendor, site in self.sites.items():
            try:
                hashes.add(verify_site(site).hashes)
            except SrflmError as error:
                return f"{vendor}: {error}"
            if contradictions(site.state.ledger):
                return f"{vendor} has evidence of two histories"
            # Two sites of one vendor, or an old copy, must not have voted against themselves.
            for charge in evidence(site.state.ledger):
                return f"{vendor} has evidence that {charge}"
        if len(hashes) > 1:
            return "the ledgers differ"
        short = self.wanted_terms - len(next(iter(hashes)))
        return f"{short} terms are missing" if short > 0 else ""

    def _equal(self) -> bool:
        return min(self.striker.terms()) >= self.wanted_terms

    def _until_next_opening(self, fault: Fault) -> float | None:
        """Return the seconds from the death of the serving site to the next server's opening."""
        if fault.kind != "serving-site":
            return None
        states = [site.settings.state for v, site in self.sites.items() if v != fault.site]
        logs = [state / "audit.jsonl" for state in (*states, *self.striker.lost_states)]
        openings = [
            event["time"] - fault.at
            # Messages of other servers, in the audit logs of the sites that stayed alive.
            for log in logs
            if log.exists()
            for event in map(json.loads, log.open())
            if event["type"] in ("query.open", "train.local", "train.recall")
            and event["vendor"] != fault.site
            and event["time"] > fault.at
        ]
        return min(openings, default=None)

    def as_markdown(self) -> str:
        """Return the figures."""
        kinds = Counter(fault.kind for fault in self.striker.faults)
        lines = [
            f"{self.wanted_terms} terms on {len(self.sites)} sites, {len(self.striker.faults)}"
            f" faults in {self.seconds:.0f} s: "
            + (f"FAILED: {self.problem}" if self.problem else FULFILLED)
            + f"; in {self.standins} terms another vendor stood in.",
            "",
            "| fault | times |",
            "|---|---|",
            *(f"| {kind} | {count} |" for kind, count in kinds.most_common()),
            *(
                f"| not possible on this machine, a cut instead: {kind} | |"
                for kind in self.striker.impossible()
            ),
        ]
        if self.handovers:
            lines += [
                "",
                "From the death of the serving site to another server's first message, seconds: "
                f"median {median(self.handovers):.1f}, worst {max(self.handovers):.1f}; "
                + ", ".join(f"{each:.1f}" for each in sorted(self.handovers)),
            ]
        return "\n".join(lines)


def small_federation(vendors: int) -> Federation:
    """Return the phantom federation with hardly any training, to measure the protocol alone."""
    return with_changes(
        built_in_federation(vendors),
        data__examples=60,
        data__image_size=32,
        training__client_epochs=1,
        training__server_epochs=1,
        # Short deadlines: a dead site must not hold up every term for minutes.
        run__answer_deadline=20.0,
        run__work_deadline=60.0,
    )


def run(quick: bool, folder: Path) -> Chaos:
    """Run the federation under faults; quick: 8 faults over 6 terms, and shorter ones."""
    return hurt(6, 8, SEED, 15.0, folder) if quick else hurt(20, len(KINDS), SEED, 60.0, folder)


def hurt(terms: int, faults: int, seed: int, freeze_seconds: float, folder: Path) -> Chaos:
    """Run ``terms`` terms under ``faults`` faults; the longest ones last ``freeze_seconds``."""
    federation = small_federation(4)
    first, last = federation.roster[0], federation.roster[-1]
    # Before the sites exist: all their processes must have the same loopback device.
    with own_loopback() as own_links:
        sites = dict(make_or_open(folder / "sites", federation))
        clock = Clock(first, folder / "clock")
        # Mounted before the site's first start, which writes into the folder.
        with small_disk(sites[last].settings.state, 64) as mounted:
            try:
                missing = bring_up_all(sites)
                assert not missing, missing
                bring_down(sites[first].folder)
                bring_back(sites[first], clock)
                while any(map(unseen, sites.values())):
                    time.sleep(1.0)
                striker = Striker(
                    sites,
                    freeze_seconds,
                    full_disk=last if mounted else None,
                    clock=clock,
                    own_links=own_links,
                    attic=folder / "attic",
                )
                chaos = Chaos(striker, wanted_faults=faults, wanted_terms=terms, seed=seed)
                chaos.run()
            finally:
                for site in sites.values():
                    bring_down(site.folder)
    return chaos


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line and print a section of results; return 1 if a term is lost."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--terms", type=int, default=20)
    parser.add_argument("--faults", type=int, default=len(KINDS))
    parser.add_argument("--seed", type=int, default=SEED, help="of the faults' kinds and times")
    parser.add_argument("--longest", type=float, default=60.0, help="seconds of the longest fault")
    chosen = parser.parse_args(arguments)
    machine = this_machine()  # before the run, whose own load must not be in the load average
    with tempfile.TemporaryDirectory(prefix="bench-chaos-") as folder:
        found = hurt(chosen.terms, chosen.faults, chosen.seed, chosen.longest, Path(folder))
    options = f" --terms {chosen.terms} --faults {chosen.faults} --seed {chosen.seed}"
    options += f" --longest {chosen.longest:g}"
    print(section("chaos", False, machine, found.as_markdown(), options))
    return 1 if found.problem else 0


if __name__ == "__main__":
    sys.exit(main())
