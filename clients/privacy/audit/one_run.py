"""Lower bounds on ε from a single run with many canaries, each in or out by a fair coin. Pure.

An attacker guesses for some canaries whether they were in. The claimed privacy limits the number
of right guesses; more of them refute the claim.

* :func:`epsilon_lower_bound`: for any mechanism that is (ε, δ)-private (Steinke, Nasr & Jagielski,
  "Privacy Auditing with One (1) Training Run", NeurIPS 2023).
* :func:`gaussian_lower_bound`: tighter, for a mechanism whose trade-off function is claimed to be
  that of N(0, 1) against N(μ, 1) (Mahloujifar, Melis & Chaudhuri, "Auditing f-Differential Privacy
  in One Run", arXiv 2410.22235), as the Gaussian mechanism is with μ = 1 / σ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from dp_accounting import get_epsilon_gaussian
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import binom

Scores = NDArray[np.float64]
Coins = NDArray[np.bool_]

# Fractions of the canaries to guess: few sure ones against noise, nearly all where noise is
# missing. Not all of them, because about half are in, not exactly half.
SHARES = (0.05, 0.2, 0.9)

# Range and precision of the search for a bound.
LARGEST_EPSILON = 50.0
LARGEST_MU = 50.0
PRECISION = 1e-3


@dataclass(frozen=True)
class Guesses:
    """``correct`` of ``made`` guesses about ``canaries`` canaries were right."""

    canaries: int
    made: int
    correct: int


def surest_guesses(scores: Scores, included: Coins) -> tuple[Guesses, ...]:
    """Guess "in" for the highest and "out" for the lowest scores, for each of :data:`SHARES`.

    ``scores`` and ``included`` have shape (m,).
    """
    order = np.argsort(scores, kind="stable")
    attempts = []
    for share in SHARES:
        each = max(1, int(len(scores) * share) // 2)
        right = int(included[order[-each:]].sum()) + int((~included[order[:each]]).sum())
        attempts.append(Guesses(len(scores), 2 * each, right))
    return tuple(attempts)


def guesses_above(scores: Scores, included: Coins, threshold: float) -> tuple[Guesses, ...]:
    """Guess "in" for all canaries with a score above the threshold, "out" for the others."""
    right = int(((scores > threshold) == included).sum())
    return (Guesses(len(scores), len(scores), right),)


def epsilon_p_value(made: Guesses, epsilon: float, delta: float) -> float:
    """Return an upper bound on the probability of so many right guesses under (ε, δ)-privacy.

    P[right ≥ v] ≤ β + 2mδα with β = P[B ≥ v], α = max_i P[v − i ≤ B < v] / i, for
    B ~ Binomial(guesses, e^ε / (1 + e^ε)) (Steinke et al., Theorem 5.2 and Appendix D).
    """
    right = 1 / (1 + math.exp(-epsilon))
    beta = float(binom.sf(made.correct - 1, made.made, right))
    if delta == 0:
        return min(1.0, beta)
    fewer = np.arange(made.correct - 1, -1, -1)
    within = np.cumsum(binom.pmf(fewer, made.made, right))
    alpha = float((within / np.arange(1, made.correct + 1)).max(initial=0.0))
    return min(1.0, beta + 2 * made.canaries * delta * alpha)


def is_mu_refuted(made: Guesses, mu: float, level: float) -> bool:
    """Return whether so many right guesses refute μ-Gaussian privacy at ``level``.

    This is the recursion of Mahloujifar et al. (Algorithm 3) with the Gaussian trade-off.
    """
    # r and h bound the parts of the probability where a further guess is right and wrong.
    right, wrong = made.correct, made.made - made.correct
    r = level * right / made.canaries
    h = level * wrong / made.canaries
    for i in range(right - 1, -1, -1):
        grown = max(h, float(ndtr(ndtri(min(r, 1.0)) - mu)))
        if grown == h:
            break
        r += i / (made.made - i) * (grown - h)
        h = grown
    return r + h > made.made / made.canaries


def epsilon_lower_bound(attempts: Sequence[Guesses], delta: float, level: float = 0.05) -> float:
    """Return the ε below which all values are refuted at ``level`` (0.05: 95 % confidence).

    The best of the attempts counts.
    """
    each = level / len(attempts)  # Bonferroni: the best of several is right by chance more often

    def refuted(made: Guesses, epsilon: float) -> bool:
        return epsilon_p_value(made, epsilon, delta) <= each

    return max(_turn(refuted, made, LARGEST_EPSILON) for made in attempts)


def mu_lower_bound(attempts: Sequence[Guesses], level: float = 0.05) -> float:
    """Return the μ below which all values are refuted at ``level``; attempts as for ε."""
    each = level / len(attempts)

    def refuted(made: Guesses, mu: float) -> bool:
        return is_mu_refuted(made, mu, each)

    return max(_turn(refuted, made, LARGEST_MU) for made in attempts)


def gaussian_lower_bound(attempts: Sequence[Guesses], delta: float, level: float = 0.05) -> float:
    """Return the lower bound on ε at ``delta`` that follows from the bound on μ."""
    mu = mu_lower_bound(attempts, level)
    return float(get_epsilon_gaussian(1 / mu, delta)) if mu > PRECISION else 0.0


def _turn(refuted: Callable[[Guesses, float], bool], made: Guesses, most: float) -> float:
    """Return the value between 0 and ``most`` where ``refuted`` turns from true to false."""
    # By bisection; the lower end is returned, so that the bound never claims too much.
    if not refuted(made, 0.0):
        return 0.0
    low, high = 0.0, most
    while high - low > PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(made, middle) else (low, middle)
    return low
