"""Statistics of a comparison over seeds: pure functions of the vendors' metrics.

Methods are compared in pairs.  For one seed, all methods have the same data, division, and initial
weights, so the difference of two methods on one seed is free of the luck of that seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Final

from scipy.stats import t

ByVendor = Mapping[str, float]
Column = Mapping[int, ByVendor]
"""seed → vendor → metric, where it is defined."""

LEVEL: Final = 0.95
"""Confidence of the intervals."""

MARGIN: Final = 0.01
"""A vendor counts as worse off than alone if its metric is lower by more than this."""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n − 1) over ``seeds`` numbers; of a single one it is 0."""

    mean: float
    deviation: float
    seeds: int


@dataclass(frozen=True)
class Interval:
    """A mean difference over ``seeds``, and its confidence interval from ``low`` to ``high``.

    A single seed tells nothing of the spread: then there is no interval.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True)
class Below:
    """``below`` of ``vendor_seeds`` pairs of vendor and seed."""

    below: int
    vendor_seeds: int


@dataclass(frozen=True)
class Summary:
    """The statistics of one method; None where a method or its partner has no such metric.

    ``bytes_sent`` and ``seconds`` are means of a run.
    """

    personalised: Spread | None
    worst_vendor: Spread | None
    minus_fedavg: Interval | None
    minus_local: Interval | None
    below_local: Below | None
    held_out: Spread | None
    worst_held_out: Spread | None
    bytes_sent: float
    seconds: float

    def as_json(self) -> dict[str, object]:
        """Return the same as plain dicts and numbers."""
        return asdict(self)


def spread(values: Mapping[int, float]) -> Spread | None:
    """Return mean and standard deviation of one number a seed; None without any."""
    # In the order of the seeds: a sum of floats depends on its order.
    found = [values[seed] for seed in sorted(values)]
    if not found:
        return None
    return Spread(mean(found), stdev(found) if len(found) > 1 else 0.0, len(found))


def over_vendors(column: Column) -> dict[int, float]:
    """Return each seed's mean over its vendors."""
    return {seed: mean(metrics.values()) for seed, metrics in column.items() if metrics}


def worst(column: Column) -> dict[int, float]:
    """Return each seed's lowest metric of a vendor."""
    return {seed: min(metrics.values()) for seed, metrics in column.items() if metrics}


def paired_difference(ours: Column, theirs: Column, level: float = LEVEL) -> Interval | None:
    """Return the mean of ours − theirs over the seeds that both have, with its interval.

    A seed's difference is the mean over the vendors that both have.  The interval is Student's t
    for paired samples: mean ± t·s/√n with n − 1 degrees of freedom.  It takes the differences of
    the seeds for independent and roughly normal.
    """
    by_seed = {
        seed: mean(ours[seed][vendor] - theirs[seed][vendor] for vendor in common)
        for seed in ours.keys() & theirs.keys()
        if (common := sorted(ours[seed].keys() & theirs[seed].keys()))
    }
    found = spread(by_seed)
    if found is None:
        return None
    if found.seeds < 2:
        return Interval(found.mean, None, None, found.seeds)
    quantile = float(t.ppf((1 + level) / 2, found.seeds - 1))
    half = quantile * found.deviation / math.sqrt(found.seeds)
    return Interval(found.mean, found.mean - half, found.mean + half, found.seeds)


def below(ours: Column, theirs: Column, margin: float = MARGIN) -> Below | None:
    """Count the vendors of all seeds whose metric is lower than theirs by more than ``margin``."""
    pairs = [
        (ours[seed][vendor], theirs[seed][vendor])
        for seed in ours.keys() & theirs.keys()
        for vendor in ours[seed].keys() & theirs[seed].keys()
    ]
    if not pairs:
        return None
    return Below(sum(mine < other - margin for mine, other in pairs), len(pairs))
