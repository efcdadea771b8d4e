"""The guard's rule, and its part at a site."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srflm_flower.site.own_data.guard import is_harmful

SCORES = st.floats(0, 1)
COMMITTED = st.lists(SCORES, min_size=1, max_size=2)


@pytest.mark.parametrize(
    ("proposed", "committed", "harmful"),
    [
        (0.25, [0.25], False),  # the first term: random weights
        (0.74, [0.8, 0.9], True),
        (0.76, [0.8, 0.9], False),
        (0.66, [0.95, 0.55], False),  # one of them was fine-tuned at this very vendor
        (None, [0.8], True),  # its outputs are no numbers
        (None, [], False),
        (0.1, [], False),  # the metric was never defined here
    ],
)
def test_model_is_harmful_if_it_is_much_worse_than_the_two_before(
    proposed: float | None, committed: list[float], harmful: bool
) -> None:
    assert is_harmful(proposed, committed, 0.1) is harmful


@given(SCORES, COMMITTED, st.floats(0, 1), st.floats(0, 1))
def test_wider_bound_and_better_model_are_never_refused_more(
    proposed: float, committed: list[float], bound: float, more: float
) -> None:
    if not is_harmful(proposed, committed, bound):
        assert not is_harmful(proposed, committed, bound + more)
        assert not is_harmful(proposed + more, committed, bound)
    assert not is_harmful(max(committed), committed, bound)
