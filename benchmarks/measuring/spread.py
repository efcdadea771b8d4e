"""Summarise noisy measurements: medians with their range, and trends with their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from scipy.stats import linregress

Ours = TypeVar("Ours")
Theirs = TypeVar("Theirs")
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Spread:
    """The median, the smallest, and the largest of some measurements."""

    median: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


def spread(values: Sequence[float]) -> Spread:
    """Return median and range; raise :class:`ValueError` without values."""
    if not values:
        raise ValueError("found no measurements; expected at least one")
    return Spread(median(values), min(values), max(values), len(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the spread of ours ÷ theirs over pairs of consecutive measurements."""
    # Ratios within a pair, as a machine's speed changes over minutes.
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


def alternate(
    ours: Callable[[int], Ours], theirs: Callable[[int], Theirs], pairs: int
) -> tuple[list[Ours], list[Theirs]]:
    """Measure ``ours`` and ``theirs`` in turn (A B A B …) ``pairs`` times."""
    # A machine that slows down then does so for both.
    measured = [(ours(pair), theirs(pair)) for pair in range(pairs)]
    return [one for one, _ in measured], [other for _, other in measured]


@dataclass(frozen=True)
class Trend:
    """The slope of a least-squares line, and its p-value against a slope of zero."""

    slope: float
    p_value: float

    def grows(self, tolerated: float) -> bool:
        """Return whether the slope is both above ``tolerated`` and significant."""
        return self.slope >= tolerated and self.p_value < SIGNIFICANT


def trend(values: Sequence[float]) -> Trend:
    """Return the trend of values one step apart; raise :class:`ValueError` for fewer than 3."""
    if len(values) < 3:
        raise ValueError(f"found {len(values)} values; expected at least 3 for a trend")
    line = linregress(range(len(values)), values)
    return Trend(float(line.slope), float(line.pvalue))
