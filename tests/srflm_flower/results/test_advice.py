"""Which model a vendor should use: the personalised one, unless test data say otherwise."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from srflm_flower.results.advice import advice_line, advise, interval

SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=30)


def test_clear_difference_is_followed_and_unclear_is_not() -> None:
    rng = np.random.default_rng(1)
    better = (rng.random(200) < 0.9).astype(float)
    worse = (rng.random(200) < 0.6).astype(float)
    assert advise({"personalised": worse, "released": better}).use == "released"
    assert advise({"personalised": better, "released": worse}).use == "personalised"
    few = advise({"personalised": [0.0, 1.0, 1.0, 0.0], "released": [1.0, 1.0, 1.0, 0.0]})
    assert few.use == "personalised"
    assert few.against["released"].low < 0 <= few.against["released"].high


def test_of_two_that_are_better_the_best_is_advised() -> None:
    zeros, some, ones = np.zeros(50), np.repeat([0.0, 1.0], 25), np.ones(50)
    advice = advise({"personalised": zeros, "released": some, "own": ones})
    assert advice.use == "own"
    assert advice.against["own"].mean == -1
    assert "trained alone" in advice_line("a", advice)


@given(SCORES)
def test_equal_models_differ_by_nothing(scores: list[float]) -> None:
    advice = advise({"personalised": scores, "released": scores})
    found = advice.against["released"]
    assert (advice.use, found.mean, found.low, found.high) == ("personalised", 0, 0, 0)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30))
def test_interval_holds_the_mean_and_is_the_same_every_time(differences: list[float]) -> None:
    found = interval(np.asarray(differences))
    assert found.low - 1e-12 <= found.mean <= found.high + 1e-12
    assert found == interval(np.asarray(differences))


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(100):
        found = interval(rng.normal(0.1, 0.3, 60))
        hits += found.low <= 0.1 <= found.high
    assert 87 <= hits <= 100


def test_one_patient_gives_no_interval() -> None:
    advice = advise({"personalised": [1.0], "released": [0.0]})
    assert advice.against == {}
    assert "1 test patient" in advice_line("a", advice)
    assert "too few" in advice_line("a", advice)
