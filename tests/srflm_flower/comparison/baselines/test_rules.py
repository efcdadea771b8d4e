"""Pure rules of the baselines: shares of steps, control variates, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srflm_flower.comparison.baselines.fedavg_finetuned import HOME_SHARE, epochs_of, steps_of_turn
from srflm_flower.comparison.baselines.scaffold import effective_steps
from srflm_flower.comparison.methods import METHODS, problems_of, require_possible, run_baseline
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.federation.loading import with_changes
from strategies.baselines.scaffold import with_mean_change
from strategies.errors import ConfigurationError
from tests.support.tiny import private, tiny_federation


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_fine_tuning_gets_a_quarter_and_no_step_is_lost(steps: list[int]) -> None:
    budget = StepBudget(rounds=tuple({"a": each} for each in steps))
    turns = [steps_of_turn(budget, "a", number) for number in range(1, len(steps) + 2)]
    assert sum(turns) == sum(steps)
    assert turns[-1] == sum(steps) // HOME_SHARE
    assert all(0 <= turn <= of_round for turn, of_round in zip(turns, steps, strict=False))


@given(st.integers(0, 300), st.integers(1, 40))
def test_fine_tuning_is_divided_into_epochs(steps: int, epoch: int) -> None:
    found = epochs_of(steps, epoch)
    assert sum(found) == steps and len(found) == max(1, -(-steps // epoch))
    assert all(each == epoch for each in found[:-1])


@given(st.integers(0, 200), st.floats(0, 0.99))
def test_constant_gradient_moves_the_weights_by_the_effective_steps(
    steps: int, momentum: float
) -> None:
    velocity = moved = 0.0
    for _ in range(steps):  # torch's SGD with η = g = 1
        velocity = momentum * velocity + 1
        moved += velocity
    assert effective_steps(steps, momentum) == pytest.approx(moved, rel=1e-6, abs=1e-6)


def test_without_momentum_the_effective_steps_are_the_papers() -> None:
    assert effective_steps(7, 0.0) == 7


def test_server_of_scaffold_adds_the_mean_of_the_changes() -> None:
    changes = [{"w": np.array([1.0, 2.0])}, {"w": np.array([3.0, 6.0])}]
    first = with_mean_change({}, changes)  # type: ignore[arg-type]
    assert first["w"].tolist() == [2.0, 4.0]
    assert with_mean_change(first, changes)["w"].tolist() == [4.0, 8.0]  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_scaffold_needs_sgd(tmp_path: Path, optimizer: str) -> None:
    federation = tiny_federation(tmp_path, training__optimizer=optimizer)
    assert problems_of(federation, METHODS).keys() == {"scaffold"}
    with pytest.raises(ConfigurationError, match=f'"{optimizer}"') as caught:
        run_baseline("scaffold", federation, tmp_path / "run", StepBudget(rounds=()), 0.1)
    assert "--methods" in caught.value.mend
    assert not (tmp_path / "run").exists(), "nothing has run"


def test_methods_outside_of_dp_sgd_are_refused_in_a_private_federation(tmp_path: Path) -> None:
    federation = private(tmp_path)
    refused = {"ditto", "fedrep", "scaffold", "srflm-finetuned"}
    assert problems_of(federation, METHODS).keys() == refused
    for method in ("ditto", "fedrep", "scaffold"):
        with pytest.raises(ConfigurationError, match=f"method {method}"):
            require_possible(federation, [method])  # type: ignore[list-item]
    require_possible(federation, ["srflm", "fedbn", "fedavg-finetuned", "pooled"])


def test_plain_federation_can_run_all(tmp_path: Path) -> None:
    assert problems_of(with_changes(tiny_federation(tmp_path), seed=3), METHODS) == {}
