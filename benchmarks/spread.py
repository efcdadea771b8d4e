"""Medians with their range, and a trend with its uncertainty: what is said about noisy times."""

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
    """The median of some measurements, and the smallest and the largest of them."""

    median: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


def spread(values: Sequence[float]) -> Spread:
    """Return median and range; raises :class:`ValueError` when there are no values."""
    if not values:
        raise ValueError("found no measurements; expected at least one")
    return Spread(median(values), min(values), max(values), len(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the spread of ours ÷ theirs over pairs that were measured one after the other."""
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


def alternate(
    ours: Callable[[int], Ours], theirs: Callable[[int], Theirs], pairs: int
) -> tuple[list[Ours], list[Theirs]]:
    """Measure A B A B …, so that a machine that slows down does so for both."""
    measured = [(ours(pair), theirs(pair)) for pair in range(pairs)]
    return [one for one, _ in measured], [other for _, other in measured]


@dataclass(frozen=True)
class Trend:
    """The slope of a least-squares line, and the p value of its being zero."""

    slope: float
    p_value: float

    def grows(self, tolerated: float) -> bool:
        """Return whether the slope is both above ``tolerated`` and significant."""
        return self.slope >= tolerated and self.p_value < SIGNIFICANT


def trend(values: Sequence[float]) -> Trend:
    """Return the trend of values that are one step apart; needs at least three."""
    if len(values) < 3:
        raise ValueError(f"found {len(values)} values; expected at least 3 for a trend")
    line = linregress(range(len(values)), values)
    return Trend(float(line.slope), float(line.pvalue))
