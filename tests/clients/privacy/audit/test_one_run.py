"""Lower bounds on ε from one run: published values, exact cases, and no false alarms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dp_accounting import get_epsilon_gaussian, get_sigma_gaussian
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from clients.privacy.audit.one_run import (
    Guesses,
    epsilon_lower_bound,
    epsilon_p_value,
    gaussian_lower_bound,
    guesses_above,
    is_mu_refuted,
    mu_lower_bound,
    surest_guesses,
)

DELTA = 1e-5
MADE = st.integers(1, 60).flatmap(
    lambda made: st.builds(Guesses, st.integers(made, 120), st.just(made), st.integers(0, made))
)


def gaussian_scores(canaries: int, sigma: float, seed: int) -> tuple[Guesses, ...]:
    """Return what an attacker guesses who sees every canary's coin plus N(0, σ²)."""
    rng = np.random.default_rng(seed)
    included = rng.random(canaries) < 0.5
    return surest_guesses(included + sigma * rng.normal(size=canaries), included)


def test_p_value_is_the_published_one() -> None:
    assert epsilon_p_value(Guesses(100, 100, 75), math.log(3), 0.0) == pytest.approx(
        0.5535, abs=5e-5
    )


@given(MADE, st.floats(0, 5), st.sampled_from([0.0, 1e-5, 1e-2, 0.3]))
def test_p_value_is_that_of_the_paper_written_out(
    made: Guesses, epsilon: float, delta: float
) -> None:
    right = 1 / (1 + math.exp(-epsilon))
    alpha = total = 0.0
    for i in range(1, made.correct + 1):
        total += binom.pmf(made.correct - i, made.made, right)
        alpha = max(alpha, total / i)
    expected = binom.sf(made.correct - 1, made.made, right) + 2 * made.canaries * delta * alpha
    assert epsilon_p_value(made, epsilon, delta) == pytest.approx(min(1.0, expected))


@given(MADE, st.floats(0, 4), st.floats(0, 2))
def test_what_refutes_a_mu_refutes_all_smaller_ones(made: Guesses, mu: float, less: float) -> None:
    if is_mu_refuted(made, mu, 0.05):
        assert is_mu_refuted(made, max(0.0, mu - less), 0.05)


@pytest.mark.parametrize("level", [0.55, 0.6, 0.9])
def test_single_guess_is_right_no_more_often_than_the_trade_off_allows(level: float) -> None:
    most = 2 * norm.ppf(level)  # Φ(μ / 2) is the probability of the best single guess
    assert is_mu_refuted(Guesses(1, 1, 1), most - 1e-6, level)
    assert not is_mu_refuted(Guesses(1, 1, 1), most + 1e-6, level)


@pytest.mark.parametrize("canaries", [40, 200])
def test_perfect_guesses_show_what_luck_alone_does_not(canaries: int) -> None:
    perfect = (Guesses(canaries, canaries, canaries),)
    probability = 0.05 ** (1 / canaries)
    expected = math.log(probability / (1 - probability))
    assert epsilon_lower_bound(perfect, 0.0) == pytest.approx(expected, abs=2e-3)
    assert gaussian_lower_bound(perfect, DELTA) > epsilon_lower_bound(perfect, DELTA)


def test_guesses_that_are_mostly_wrong_show_nothing() -> None:
    assert epsilon_lower_bound((Guesses(100, 100, 45),), DELTA) == 0
    assert mu_lower_bound((Guesses(100, 100, 45),)) == 0
    assert gaussian_lower_bound((Guesses(100, 100, 45),), DELTA) == 0


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 6.0])
def test_honest_gaussian_noise_raises_no_alarm(epsilon: float) -> None:
    sigma = float(get_sigma_gaussian(epsilon, DELTA))
    for seed in range(25):
        made = gaussian_scores(400, sigma, seed)
        assert gaussian_lower_bound(made, DELTA) <= epsilon
        assert epsilon_lower_bound(made, DELTA) <= epsilon


def test_bound_grows_with_the_leak_and_is_a_good_part_of_it() -> None:
    bounds = [gaussian_lower_bound(gaussian_scores(4000, s, 1), DELTA) for s in (4.0, 1.0, 0.5)]
    assert bounds == sorted(bounds)
    assert bounds[-1] > 0.4 * float(get_epsilon_gaussian(0.5, DELTA))


def test_guesses_count_both_ends() -> None:
    included = np.array([True] * 50 + [False] * 50)
    assert surest_guesses(np.arange(100.0)[::-1], included)[-1] == Guesses(100, 90, 90)
    assert surest_guesses(np.arange(100.0), included)[-1] == Guesses(100, 90, 0)
    assert guesses_above(np.array([1.0, 0.0, 1.0]), np.array([True, True, True]), 0.5) == (
        Guesses(3, 3, 2),
    )
