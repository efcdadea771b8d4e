"""Rules of the cases, their verdicts, and where SRFLM's time is said to go."""

from __future__ import annotations

import pytest

from benchmarks.measuring.round_times import RoundEnd
from benchmarks.measuring.spread import spread
from benchmarks.round_overhead import (
    CASES,
    COMMIT,
    Case,
    CaseResult,
    RoundOverhead,
    SrflmTimes,
    same_work_federation,
)

PHASES = {"open": 0.1, "train": 2.0, "finetune": 1.0, "evaluate": 0.2, COMMIT: 0.1}


def result(case: Case, ratio: float) -> CaseResult:
    theirs = spread([3.0])
    return CaseResult(case, 480, spread([3.0 * ratio]), theirs, spread([ratio]), PHASES)


@pytest.mark.parametrize(
    ("case", "waves"), [(Case(4, 1), (4, 4)), (Case(5, 2), (3, 3)), (Case(4, 2), (3, 2))]
)
def test_waves_are_those_of_clients_and_then_the_server(case: Case, waves: tuple[int, int]) -> None:
    assert case.waves == waves
    assert case in CASES


@pytest.mark.parametrize(
    ("case", "ratio", "verdict"),
    [
        (Case(4, 1), 1.10, "met"),
        (Case(4, 1), 1.11, "missed"),
        (Case(4, 2), 1.50, "differs by construction"),
    ],
)
def test_target_is_for_cases_that_are_alike(case: Case, ratio: float, verdict: str) -> None:
    assert result(case, ratio).verdict == verdict


def test_markdown_has_a_row_a_case_and_its_phases() -> None:
    text = RoundOverhead((result(Case(4, 1), 1.05),)).as_markdown()
    assert "| 4 | 1 | 4 / 4 | 480 | 3.15 (3.15–3.15) | 3.00 (3.00–3.00) | 1.05 (1.05–1.05)" in text
    assert "| 4 | 1 | 0.10 | 2.00 | 1.00 | 0.20 | 0.10 |" in text


def test_rest_of_a_round_is_what_the_phases_leave() -> None:
    ends = [RoundEnd(n, float(at), 1) for n, at in enumerate((9, 19, 29, 32, 35), start=1)]
    cost = {"open": 0.5, "train": 1.0, "finetune": 0.5, "evaluate": 0.5}
    slow = dict.fromkeys(cost, 2.0)
    assert SrflmTimes(ends, [slow, slow, cost, cost, cost]).phases() == {**cost, COMMIT: 0.5}


def test_server_trains_as_much_as_a_client() -> None:
    training = same_work_federation(5, 3).training
    assert training.client_epochs == training.server_epochs
