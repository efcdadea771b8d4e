"""A plan's noise is enough in every case that may come, and hardly more than enough."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from clients.privacy.accounting.accounting import epsilon
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.accounting.planning import Schedule, epsilon_by_rounds, plan
from strategies.errors import PrivacyError

DELTA = 1e-5
SCHEDULE = Schedule(
    size=1000, batch_size=64, client_steps=16, server_steps=32, rounds=8, server_rounds=2
)


@pytest.mark.slow
def test_figure_of_the_literature_is_found_again() -> None:
    """dp-accounting's own calibration: q = 0.064, 400 steps, ε = 4 needs σ = 1.609."""
    found = plan(replace(SCHEDULE, rounds=20, server_rounds=5), 4.0, DELTA)
    assert found.client_noise == pytest.approx(1.609, abs=0.002)


@pytest.mark.slow
@pytest.mark.parametrize(
    "schedule",
    [
        SCHEDULE,
        replace(SCHEDULE, noise_ratio=1.5),
        replace(SCHEDULE, server_steps=4),
        replace(SCHEDULE, server_rounds=0),
        replace(SCHEDULE, before=(Mechanism(1.5, 0.05, 100), Mechanism(20.0, 1.0, 3))),
    ],
)
def test_plan_is_never_above_the_budget_and_close_to_it(schedule: Schedule) -> None:
    found = plan(schedule, 4.0, DELTA)
    worst = max(
        epsilon(schedule.history(found.client_noise, served), DELTA)
        for served in range(schedule.server_rounds + 1)
    )
    assert found.epsilon <= 4.0 and worst <= 4.0
    assert found.epsilon >= 0.98 * 4.0
    assert found.server_noise == pytest.approx(found.client_noise * schedule.noise_ratio, abs=1e-4)


def test_less_noise_than_planned_is_not_enough() -> None:
    found = plan(SCHEDULE, 2.0, DELTA)
    assert epsilon(SCHEDULE.history(found.client_noise * 0.98), DELTA) > 2.0


@pytest.mark.slow
def test_epsilon_grows_to_the_planned_one_with_the_rounds() -> None:
    found = plan(SCHEDULE, 4.0, DELTA)
    curve = epsilon_by_rounds(SCHEDULE, found.client_noise, DELTA, [0, 4, 8])
    assert curve[0] == 0 < curve[1] < curve[2] == pytest.approx(4.0, abs=0.05)


@pytest.mark.parametrize(
    ("schedule", "target", "delta", "found"),
    [
        (SCHEDULE, 0.0, DELTA, "ε = 0"),
        (SCHEDULE, -1.0, DELTA, "ε = -1"),
        (SCHEDULE, math.inf, DELTA, "ε = inf"),
        (SCHEDULE, 4.0, 1e-3, "δ = 0.001 for 1000 records"),
        (replace(SCHEDULE, batch_size=1000), 4.0, DELTA, "a batch of 1000"),
        (replace(SCHEDULE, server_rounds=9), 4.0, DELTA, "9 of 8 rounds"),
        (replace(SCHEDULE, rounds=0, server_rounds=0), 4.0, DELTA, "0 of 0 rounds"),
        (replace(SCHEDULE, before=(Mechanism(0.5, 0.1, 500),)), 4.0, DELTA, "with any noise"),
    ],
)
def test_schedule_that_cannot_be_planned_is_refused(
    schedule: Schedule, target: float, delta: float, found: str
) -> None:
    with pytest.raises(PrivacyError, match=found):
        plan(schedule, target, delta)
