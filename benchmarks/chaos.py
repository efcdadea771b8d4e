"""A federation of real sites under thirty faults: is every term committed, once, everywhere?

Four sites on this machine run 20 terms of trivial work. Meanwhile, at random times, single
processes, the serving site, or a whole other site are killed, a site is stopped for a minute, a
link is cut, or a disk is full (if this user may mount one). At the end all ledgers must be equal
and verified.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.chaos_faults import (
    Fault,
    bring_back,
    cut_off,
    fill_disk,
    freeze,
    kill_program,
    kill_site,
    serving_now,
    small_disk,
)
from benchmarks.section import main
from deploy.operating.local_consortium import bring_up_all, make_or_open
from deploy.operating.run_orders import order_rounds
from deploy.operating.running import bring_down
from deploy.site.deployed_site import DeployedSite
from deploy.site.verification import verify_site
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, with_changes

SEED = 14
# The kinds of thirty faults; a quick run draws a few of them.
KINDS = (
    *("program",) * 12,
    *("task",) * 5,
    *("serving-site",) * 5,
    *("site",) * 3,
    *("freeze",) * 1,
    *("cut",) * 2,
    *("disk",) * 2,
)
LONGEST_SECONDS = 2400.0
# The next fault strikes after this wait, even if the term has not ended: faults may overlap.
LONGEST_WAIT_SECONDS = 60.0


@dataclass
class Chaos:
    """The faults of a run and its results; times in seconds."""

    sites: dict[str, DeployedSite]
    wanted_faults: int
    wanted_terms: int
    freeze_seconds: float
    full_disk: str | None
    faults: list[Fault] = field(default_factory=list)
    handovers: list[float] = field(default_factory=list)
    seconds: float = 0.0
    verified: bool = False
    standins: int = 0

    def strike(self, kind: str, chooser: random.Random) -> None:
        """Cause one fault at a random site, and repair it unless it repairs itself."""
        if kind == "disk" and self.full_disk is None:
            kind = "cut"
        serving = serving_now(self.sites)
        victim = chooser.choice(sorted(self.sites))
        # Faults at the serving site are the hard ones: they force a handover.
        if kind in ("serving-site", "task") and serving is not None:
            victim = serving
        site = self.sites[victim]
        term = max(len(each.state.ledger) for each in self.sites.values()) + 1
        at = time.time()
        match kind:
            case "program":
                kind = f"kill {kill_program(site, chooser)}"
            case "task":
                kind = f"kill {kill_program(site, chooser, 'task')}"
            case "serving-site" | "site":
                kill_site(site)
                time.sleep(chooser.uniform(1, 25))  # back before or after others take over
                bring_back(site)
            case "freeze":
                freeze(site, self.freeze_seconds)
            case "cut":
                cut_off(site, self.freeze_seconds / 2)
            case "disk":
                assert self.full_disk is not None
                site = self.sites[self.full_disk]
                fill_disk(site.settings.state, self.freeze_seconds / 2)
        self.faults.append(Fault(kind, site.vendor, at, term))
        print(f"fault {len(self.faults)}: {kind} at {site.vendor} in term {term}", file=sys.stderr)

    def run(self) -> None:
        """Cause the faults evenly over the terms; then wait until all sites agree."""
        chooser, started = random.Random(SEED), time.monotonic()
        order_rounds(next(iter(self.sites.values())), self.wanted_terms)
        kinds = chooser.sample(KINDS, self.wanted_faults)
        for number, kind in enumerate(kinds):
            # By terms, not by time: a slow machine would get all faults in the first terms.
            self._wait_for_term(number * self.wanted_terms // self.wanted_faults)
            time.sleep(chooser.uniform(0.0, 4.0))  # to strike in any phase of the term
            self.strike(kind, chooser)
        while not self._equal() and time.monotonic() - started < LONGEST_SECONDS:
            time.sleep(1.0)
        self.seconds = time.monotonic() - started
        hashes = {verify_site(site).hashes for site in self.sites.values()}
        self.verified = len(hashes) == 1 and len(next(iter(hashes))) >= self.wanted_terms
        records = next(iter(self.sites.values())).state.ledger.records()
        self.standins = sum(record.attempt > 0 for record in records)
        self.handovers = [
            seconds for fault in self.faults if (seconds := self._until_next_opening(fault))
        ]

    def _terms(self) -> list[int]:
        return [len(site.state.ledger) for site in self.sites.values()]

    def _wait_for_term(self, term: int) -> None:
        """Wait until ``term`` is committed at some site, or LONGEST_WAIT_SECONDS are over."""
        until = time.monotonic() + LONGEST_WAIT_SECONDS
        while max(self._terms()) < term and time.monotonic() < until:
            time.sleep(0.2)

    def _equal(self) -> bool:
        return min(self._terms()) >= self.wanted_terms

    def _until_next_opening(self, fault: Fault) -> float | None:
        """Return the seconds from the death of the serving site to the next server's opening."""
        if fault.kind != "serving-site":
            return None
        openings = [
            event["time"] - fault.at
            for vendor, site in self.sites.items()
            if vendor != fault.site
            # Messages of other servers, in the audit logs of the sites that stayed alive.
            for event in map(json.loads, (site.settings.state / "audit.jsonl").open())
            if event["type"] in ("query.open", "train.local", "train.recall")
            and event["vendor"] != fault.site
            and event["time"] > fault.at
        ]
        return min(openings, default=None)

    def as_markdown(self) -> str:
        """Return the figures."""
        kinds = Counter(fault.kind for fault in self.faults)
        lines = [
            f"{self.wanted_terms} terms on {len(self.sites)} sites, {len(self.faults)} faults in"
            f" {self.seconds:.0f} s: "
            + ("**all terms committed, ledgers equal and verified**" if self.verified else "FAILED")
            + f"; in {self.standins} terms another vendor stood in.",
            "",
            "| fault | times |",
            "|---|---|",
            *(f"| {kind} | {count} |" for kind, count in kinds.most_common()),
        ]
        if self.handovers:
            lines += [
                "",
                "From the death of the serving site to another server's first message, seconds: "
                f"median {median(self.handovers):.1f}, "
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
    federation = small_federation(4)
    victim = federation.roster[-1]
    sites = make_or_open(folder / "sites", federation)
    # Mounted before the site's first start, which writes into the folder.
    with small_disk(sites[victim].settings.state, 64) as mounted:
        try:
            unseen = bring_up_all(sites)
            assert not unseen, unseen
            chaos = Chaos(
                dict(sites),
                wanted_faults=8 if quick else 30,
                wanted_terms=6 if quick else 20,
                freeze_seconds=15.0 if quick else 60.0,
                full_disk=victim if mounted else None,
            )
            chaos.run()
        finally:
            for site in sites.values():
                bring_down(site.folder)
    return chaos


if __name__ == "__main__":
    sys.exit(main("chaos", run, __doc__.splitlines()[0]))
