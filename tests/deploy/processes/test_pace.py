from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.processes.pace import MAX_SECONDS, MIN_SECONDS, STEP_SECONDS, pause, rest


@pytest.mark.parametrize(
    ("since", "seconds"), [(-5, 0.2), (0, 0.2), (2, 0.2), (20, 2.0), (60, 3.0), (1e9, 3.0)]
)
def test_pause_is_a_tenth_of_the_quiet_time_within_bounds(since: float, seconds: float) -> None:
    assert pause(since) == seconds


@given(st.floats(-1e6, 1e9), st.floats(-1e6, 1e9))
def test_the_longer_it_is_quiet_the_longer_the_pause(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert MIN_SECONDS <= pause(low) <= pause(high) <= MAX_SECONDS


def test_rest_sleeps_in_small_steps_to_the_end() -> None:
    slept: list[float] = []
    assert not rest(1.0, lambda: False, slept.append)
    assert sum(slept) == pytest.approx(1.0) and max(slept) <= STEP_SECONDS


def test_bell_ends_a_rest_within_a_step() -> None:
    slept: list[float] = []
    assert rest(3.0, lambda: len(slept) == 4, slept.append)
    assert len(slept) == 4


def test_what_was_rung_before_the_rest_ends_it_at_once() -> None:
    slept: list[float] = []
    assert rest(3.0, lambda: True, slept.append)
    assert slept == []
