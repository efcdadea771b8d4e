"""A site that dies and stays away: what does it cost the others, once and for ever?

Four sites on this machine run terms of trivial work.  Every process of the serving site is killed,
and nothing brings it back.  Figures are seconds between commits, in one run: with all four, from
the death to the first commit of another vendor, and of each later term.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.chaos import small_federation
from benchmarks.chaos_faults import kill_site, serving_now
from benchmarks.deployment_cost import Sites, events, with_sites
from benchmarks.measuring.markdown import table
from benchmarks.measuring.section import main
from deploy.operating.run_orders import order_rounds

LONGEST_SECONDS = 600.0
GOAL_FIRST, GOAL_RATIO = 15.0, 1.2


@dataclass(frozen=True)
class DeadSite:
    """Seconds: a term with all sites (median), death to the next commit, each term after it."""

    whole: float
    first: float
    later: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The slowest later term, in medians of terms with all sites."""
        return max(self.later) / self.whole

    def as_markdown(self) -> str:
        """Return the figures beside the goals."""
        later = ", ".join(f"{seconds:.1f}" for seconds in self.later)
        rows = [
            ["a term with all four, median", f"{self.whole:.1f} s", "–"],
            ["death → first commit", f"{self.first:.1f} s", f"≤ {GOAL_FIRST:g} s"],
            ["each later term", f"{later} s", "–"],
            ["the slowest later term / with all four", f"{self.ratio:.2f}", f"≤ {GOAL_RATIO}"],
        ]
        return table(["what", "measured", "goal"], rows)


def run(quick: bool, folder: Path) -> DeadSite:
    """Run 6 terms with all sites and 6 without the dead one, or in a hurry 4 and 3."""
    before, after = (4, 3) if quick else (6, 6)

    def work(sites: Sites) -> DeadSite:
        return _measured(sites, before, after)

    found: DeadSite = with_sites(folder / "sites", small_federation(4), work)
    return found


def _measured(sites: Sites, before: int, after: int) -> DeadSite:
    started = time.time()
    # The first term pays for imports: it is not among those compared.
    order_rounds(next(iter(sites.values())), before + 2 + after)
    _wait_for(sites, started, before + 1)
    until = time.monotonic() + LONGEST_SECONDS
    while (serving := serving_now(dict(sites))) is None:
        assert time.monotonic() < until, "no vendor serves"
        time.sleep(0.02)
    kill_site(sites[serving])
    died = time.time()
    left = {vendor: site for vendor, site in sites.items() if vendor != serving}
    _wait_for(left, died, after + 1)
    whole = [b - a for a, b in pairwise(_commits(sites, started)) if b < died]
    commits = [moment for moment in _commits(left, died) if moment > died][: after + 1]
    later = tuple(b - a for a, b in pairwise(commits))
    print(f"{serving} killed; terms before: {[round(w, 1) for w in whole]}", file=sys.stderr)
    return DeadSite(median(whole[1:]), commits[0] - died, later)


def _commits(sites: Sites, since: float) -> list[float]:
    return [e["time"] for e in events(sites, since) if e["event"] == "term-committed"]


def _wait_for(sites: Sites, since: float, commits: int) -> None:
    until = time.monotonic() + LONGEST_SECONDS
    while len(_commits(sites, since)) < commits:
        assert time.monotonic() < until, f"{commits} commits did not come"
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main("dead_site", run, (__doc__ or "").splitlines()[0]))
