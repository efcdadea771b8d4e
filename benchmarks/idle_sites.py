"""An idle site of a federation with four and with twelve members, all real sites on this machine.

No run is under way.  Memory is PSS, CPU that of one core; both are means over all sites.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.chaos import small_federation
from benchmarks.deployment_cost import Sites, measure_idle, with_sites
from benchmarks.measuring.markdown import table
from benchmarks.measuring.section import main

MEMBERS = (4, 12)
MOST_GROWTH = 0.1


@dataclass(frozen=True)
class IdleSites:
    """Members → (mean PSS of a site in MiB, mean CPU in percent of a core)."""

    sites: dict[int, tuple[float, float]]

    def as_markdown(self) -> str:
        """Return the table, and the growth from the fewest to the most members."""
        rows = [[str(n), f"{mib:.0f}", f"{cpu:.2f}"] for n, (mib, cpu) in self.sites.items()]
        text = table(("members", "MiB (PSS)", "CPU, % of a core"), rows)
        few, many = self.sites[min(self.sites)][0], self.sites[max(self.sites)][0]
        growth = many / few - 1
        verdict = "met" if growth <= MOST_GROWTH else "missed"
        return (
            f"{text}\n\nMemory with {max(self.sites)} members: {100 * growth:+.1f} % against"
            f" {min(self.sites)} (goal: at most {100 * MOST_GROWTH:.0f} % more): {verdict}\n"
        )


def run(quick: bool, folder: Path) -> IdleSites:
    """Measure both federations one after the other; quick: with two and three members."""
    found = {}
    for members in (2, 3) if quick else MEMBERS:
        found[members] = with_sites(folder / str(members), small_federation(members), _mean)
        print(f"{members} members: {found[members]}", file=sys.stderr)
    return IdleSites(found)


def _mean(sites: Sites) -> tuple[float, float]:
    measured = measure_idle(list(sites.values()))
    return fmean(each.memory for each in measured), fmean(each.cpu for each in measured)


if __name__ == "__main__":
    sys.exit(main("idle_sites", run, __doc__ or ""))
