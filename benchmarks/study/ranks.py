"""Average ranks of methods over tasks, and the difference of ranks that means something.

Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006: Friedman's
test, and Nemenyi's critical difference q_α·√(k(k+1)/(6N)) for k methods and N tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import friedmanchisquare, rankdata, studentized_range

ALPHA: Final = 0.05


@dataclass(frozen=True)
class Ranking:
    """Average ranks (1 is best) over ``tasks``, Friedman's p, and the critical difference.

    ``p`` is NaN for fewer than three methods or tasks, as the test is not defined there.
    """

    ranks: dict[str, float]
    tasks: int
    p: float
    critical: float


def rank_methods(values: Mapping[str, Mapping[str, float]]) -> Ranking | None:
    """Return the ranking of ``values``: method → task → metric, of which more is better.

    Only tasks that all methods have count.  None without two methods and a task in common.
    """
    methods = list(values)
    common = set.intersection(*(set(values[m]) for m in methods)) if methods else set[str]()
    tasks = sorted(common)
    if len(methods) < 2 or not tasks:
        return None
    table = np.array([[values[m][task] for m in methods] for task in tasks])
    mean = rankdata(-table, axis=1).mean(axis=0)  # ties share their mean rank
    testable = min(len(methods), len(tasks)) >= 3 and np.ptp(table, axis=1).any()
    p = float(friedmanchisquare(*table.T).pvalue) if testable else math.nan
    ranks = dict(zip(methods, map(float, mean), strict=True))
    return Ranking(ranks, len(tasks), p, critical_difference(len(methods), len(tasks)))


def critical_difference(methods: int, tasks: int, alpha: float = ALPHA) -> float:
    """Return the difference of two average ranks beyond which two methods differ."""
    q = float(studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * tasks))


def cliques(ranking: Ranking) -> list[Sequence[str]]:
    """Return the largest groups of methods whose ranks differ by less than the critical difference.

    Groups of one are left out.
    """
    ordered = sorted(ranking.ranks, key=lambda method: ranking.ranks[method])
    found: list[Sequence[str]] = []
    for first in range(len(ordered)):
        last = first
        while (
            last + 1 < len(ordered)
            and ranking.ranks[ordered[last + 1]] - ranking.ranks[ordered[first]] < ranking.critical
        ):
            last += 1
        group = ordered[first : last + 1]
        if len(group) > 1 and not any(set(group) <= set(each) for each in found):
            found.append(group)
    return found
