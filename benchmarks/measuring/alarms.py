"""How often a guard would have refused a term of honest runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measuring.markdown import table
from srflm_flower.site.own_data.guard import COMPARED, is_harmful
from strategies.protocol.records import quorum_size

BOUNDS = {"psnr": (0.5, 1.0, 2.0)}
"""Bounds of the guard whose false alarms are counted, by metric, in its unit (dB)."""

SHARES = (0.05, 0.1, 0.2)
"""The same for metrics from 0 to 1.  The middle one is the guard that is compared."""


@dataclass(frozen=True)
class Alarms:
    """How often a guard refuses in honest runs: at single sites, and so that a term is lost."""

    refusals: int
    judged: int
    lost: int
    terms: int


def false_alarms(
    runs: Sequence[Sequence[Mapping[str, float]]], bound: float, vendors: int
) -> Alarms:
    """Count the refusals of a guard over honest ``runs``: for each term vendor → metric.

    As at a site, the first term counts for nothing here: the initial model is not in the records.
    """
    refusals = judged = lost = terms = 0
    needed = quorum_size(vendors, "majority")
    for run in runs:
        for at in range(1, len(run)):
            before = run[max(0, at - COMPARED) : at]
            judges = [v for v in run[at] if any(v in each for each in before)]
            refusing = [
                v
                for v in judges
                if is_harmful(run[at][v], [each[v] for each in before if v in each], bound)
            ]
            judged, refusals, terms = judged + len(judges), refusals + len(refusing), terms + 1
            lost += vendors - len(refusing) < needed
    return Alarms(refusals, judged, lost, terms)


def bounds_of(metric: str) -> tuple[float, ...]:
    """Return the guard's bounds for a metric; the middle one is compared."""
    return BOUNDS.get(metric, SHARES)


def alarms_table(runs: Sequence[Sequence[Mapping[str, float]]], metric: str, vendors: int) -> str:
    """Return a table of the false alarms over honest ``runs``, a row for each bound."""
    alarms = {bound: false_alarms(runs, bound, vendors) for bound in bounds_of(metric)}
    return table(
        ("guard", "refusals of single sites", "terms lost by them"),
        [
            (f"{bound:g}", f"{a.refusals} of {a.judged}", f"{a.lost} of {a.terms}")
            for bound, a in alarms.items()
        ],
    )
