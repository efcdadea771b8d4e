"""Who causes the faults: chooses the site of each, and puts right what does not repair itself."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos_faults import (
    Fault,
    bring_back,
    cut_off,
    fill_disk,
    freeze,
    kill_program,
    kill_site,
    serving_now,
)
from benchmarks.faults.clock import Clock
from benchmarks.faults.links import slow_down
from benchmarks.faults.memory import copy_site, lose_state, restore, run_twice
from deploy.operating.status import why_silent
from deploy.site.deployed_site import DeployedSite

# The kinds of forty faults; a shorter run draws a few of them.
KINDS = (
    *("program",) * 10,
    *("task",) * 4,
    *("serving-site",) * 8,
    *("site",) * 2,
    *("freeze",) * 2,
    *("cut",) * 2,
    *("disk",) * 2,
    *("state",) * 2,
    *("restore",) * 2,
    *("twice",) * 2,
    *("clock",) * 2,
    *("slow",) * 2,
)
# After these a site votes only once it has asked the others, so no other may be as ignorant.
OF_MEMORY = ("state", "restore", "twice")
HOUR = 3600
# The next fault strikes after this wait, even if the term has not ended: faults may overlap.
LONGEST_WAIT_SECONDS = 60.0


@dataclass
class Striker:
    """Causes faults at ``sites``; the longest ones last ``freeze_seconds``.

    ``attic`` is an empty folder for copies of sites, and for the states that they have lost.
    ``full_disk`` is the vendor whose state lies on a small disk of its own, if any.
    """

    sites: dict[str, DeployedSite]
    freeze_seconds: float
    full_disk: str | None
    clock: Clock
    own_links: bool
    attic: Path
    faults: list[Fault] = field(default_factory=list)
    copies: dict[str, Path] = field(default_factory=dict)
    lost_states: list[Path] = field(default_factory=list)

    def strike(self, kind: str, chooser: random.Random) -> None:
        """Cause one fault at a random site, and repair it unless it repairs itself."""
        if kind in OF_MEMORY:
            self._wait_for_votes()
        victim, kind = self._victim(kind, chooser)
        site = self.sites[victim]
        term = max(self.terms()) + 1
        at = time.time()
        match kind:
            case "program":
                kind = f"kill {kill_program(site, chooser)}"
            case "task":
                kind = f"kill {kill_program(site, chooser, 'task')}"
            case "serving-site" | "site":
                kill_site(site)
                self._keep_copy(site)
                time.sleep(chooser.uniform(1, 25))  # back before or after others take over
                bring_back(site, self.clock)
            case "freeze":
                freeze(site, self.freeze_seconds)
            case "disk":
                fill_disk(site.settings.state, self.freeze_seconds / 2)
            case "clock":
                self.clock.move(HOUR, self.freeze_seconds / 2)
                kind = "clock moved by an hour"
            case "slow":
                kind = slow_down(self.freeze_seconds / 2) or kind
            case "cut":
                cut_off(site, self.freeze_seconds / 2)
            case _:
                self._hurt_memory(kind, site, chooser)
        self.faults.append(Fault(kind, site.vendor, at, term))
        print(
            f"fault {len(self.faults)}: {kind} at {site.vendor} in term {term},"
            f" {time.time() - at:.0f} s; terms {self.terms()}",
            file=sys.stderr,
            flush=True,
        )

    def _victim(self, kind: str, chooser: random.Random) -> tuple[str, str]:
        """Return the site of a fault, and its kind: another one if it cannot be caused here."""
        possible = {
            "disk": self.full_disk is not None,
            "clock": self.clock.library is not None,
            "slow": self.own_links,
        }
        kind = kind if possible.get(kind, True) else "cut"
        victims = sorted(self.sites)
        # Faults at the serving site are the hard ones: they force a handover.
        if kind in ("serving-site", "task"):
            serving = self._serving()
            if serving is not None:
                return serving, kind
            return chooser.choice(victims), "site" if kind == "serving-site" else kind
        if kind == "clock":
            return self.clock.vendor, kind
        if kind == "disk":
            return str(self.full_disk), kind
        if kind in OF_MEMORY and self.full_disk is not None:
            victims.remove(self.full_disk)  # a mounted disk cannot be renamed
        if kind == "restore":
            # The oldest copy, which has forgotten most; a second one for the next time.
            with_copy = [vendor for vendor in self.copies if vendor in victims]
            victims = with_copy[:1] or victims
        return chooser.choice(victims), kind

    def _hurt_memory(self, kind: str, site: DeployedSite, chooser: random.Random) -> None:
        attic = self.attic / f"{len(self.faults)}-{kind}-{site.vendor}"
        if kind == "state":
            lost = lose_state(site, attic, chooser.uniform(5, 25), self.clock)
            self.lost_states.append(lost)
        elif kind == "twice":
            run_twice(site, attic, self.freeze_seconds / 2, self.clock)
        else:
            if site.vendor not in self.copies:
                kill_site(site)
                self._keep_copy(site)
                bring_back(site, self.clock)
                self.wait_for_term(max(self.terms()) + 1)
            self.lost_states.append(attic / "site" / "state")
            restored = restore(site, self.copies.pop(site.vendor), attic, self.clock)
            self.sites[site.vendor] = restored

    def _keep_copy(self, site: DeployedSite) -> None:
        """Keep the first copy of a site that is down, for a later restoration."""
        if site.vendor not in self.copies and site.vendor != self.full_disk:
            folder = self.attic / f"copy-{len(self.faults)}-{site.vendor}"
            self.copies[site.vendor] = copy_site(site, folder)

    def _serving(self) -> str | None:
        """Return the server of the open term, and wait a little for one; None if there is none."""
        until = time.monotonic() + LONGEST_WAIT_SECONDS / 4
        while time.monotonic() < until:
            serving = serving_now(self.sites)
            if serving is not None:
                return serving
            time.sleep(0.2)
        return None

    def terms(self) -> list[int]:
        """Return the length of every site's ledger."""
        return [len(site.state.ledger) for site in self.sites.values()]

    def wait_for_term(self, term: int) -> None:
        """Wait until ``term`` is committed at some site, or LONGEST_WAIT_SECONDS are over."""
        until = time.monotonic() + LONGEST_WAIT_SECONDS
        while max(self.terms()) < term and time.monotonic() < until:
            time.sleep(0.2)

    def _wait_for_votes(self) -> None:
        """Wait until every site votes, or LONGEST_WAIT_SECONDS are over."""
        until = time.monotonic() + LONGEST_WAIT_SECONDS
        while time.monotonic() < until and any(
            why_silent(site.state.ledger, site.view().head_term + 1) for site in self.sites.values()
        ):
            time.sleep(0.5)

    def impossible(self) -> list[str]:
        """Return the kinds of faults that this user or machine cannot cause."""
        missing = {
            "a full disk (no mount)": self.full_disk is None,
            "a moved clock (no libfaketime)": self.clock.library is None,
            "slow links (no network namespace)": not self.own_links,
        }
        return [name for name, absent in missing.items() if absent]
