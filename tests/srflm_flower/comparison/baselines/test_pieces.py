"""The pieces of work in a turn: where each starts, what guides it, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import RecordDict

from clients.guidance import PLAIN, Guidance
from clients.learner import Trained
from srflm_flower.comparison import flower_run
from srflm_flower.comparison.baselines import fedrep
from srflm_flower.comparison.baselines.ditto import LAMBDA, train_both
from srflm_flower.comparison.baselines.scaffold import train_corrected
from srflm_flower.comparison.methods import run_baseline
from srflm_flower.comparison.step_budget import StepBudget
from strategies.baselines.scaffold import CONTROL
from strategies.errors import SimulationError
from strategies.weights import Weights, from_arrays, to_arrays
from tests.support.tiny import tiny_federation


def weights(value: float) -> Weights:
    return {name: np.full(2, value, np.float32) for name in ("body", "head")}


@dataclass
class Noted:
    """A turn whose training adds 1 to each weight, and notes how it was asked for."""

    start: Weights = field(default_factory=lambda: weights(0))
    own: Weights = field(default_factory=lambda: weights(10))
    received: dict[str, Weights] = field(default_factory=dict)
    memory: RecordDict = field(default_factory=RecordDict)
    steps: int = 5
    learning_rate: float = 0.5
    calls: list[tuple[Weights, int, float, Guidance]] = field(default_factory=list)

    @property
    def site(self) -> Any:
        named = [("body", None), ("head", None)]
        network = SimpleNamespace(named_parameters=lambda: iter(named))
        training = SimpleNamespace(momentum=0.0)
        return SimpleNamespace(
            learner=SimpleNamespace(network=network),
            federation=SimpleNamespace(training=training),
        )

    def train(
        self,
        start: Weights,
        steps: int,
        *,
        proximal: float = 0.0,
        guidance: Guidance = PLAIN,
        piece: int = 0,
    ) -> Trained:
        self.calls.append((start, steps, proximal, guidance))
        return Trained({name: array + 1 for name, array in start.items()}, 0.5, 20, steps)


def test_ditto_trains_its_own_model_from_its_own_drawn_to_the_one_received() -> None:
    turn: Any = Noted()
    done = train_both(turn)
    (start, steps, proximal, guidance), (own, rest, pull, drawn) = turn.calls
    assert start is turn.start and guidance.is_plain and proximal == 0
    assert own is turn.own and drawn.anchor is turn.start and pull == LAMBDA > 0
    assert (steps, rest, done.steps) == (3, 2, 5)
    assert done.own["head"][0] == 11 and done.sent is not None and done.sent["head"][0] == 1


def test_fedrep_trains_the_head_first_and_then_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedrep, "head", lambda site: frozenset({"head"}))
    turn: Any = Noted()
    done = fedrep.train_head_then_body(turn)
    (start, steps, _, first), (second_start, rest, _, second) = turn.calls
    assert start is turn.start and first.frozen == {"body"}
    assert second_start["body"][0] == 1 and second.frozen == {"head"}
    assert (steps, rest, done.steps) == (2, 3, 5)


def test_scaffold_corrects_by_server_minus_own_and_keeps_option_two() -> None:
    """c = 3, c_i = 1, K·η = 2.5, and x − y = −1: c_i⁺ = 1 − 3 − 1/2.5."""
    turn: Any = Noted(received={CONTROL: weights(3)})
    turn.memory[CONTROL] = to_arrays(weights(1))
    done = train_corrected(turn)
    ((_, _, _, guidance),) = turn.calls
    assert guidance.correction is not None
    assert guidance.correction["body"].tolist() == [2, 2]
    after = 1 - 3 - 1 / 2.5
    kept = from_arrays(turn.memory.array_records[CONTROL])
    assert kept["head"].tolist() == pytest.approx([after, after])
    assert done.further[CONTROL]["head"].tolist() == pytest.approx([after - 1, after - 1])


def test_scaffold_without_steps_learns_nothing_of_the_gradient() -> None:
    turn: Any = Noted(steps=0, received={CONTROL: weights(3)})
    turn.memory[CONTROL] = to_arrays(weights(1))
    done = train_corrected(turn)
    assert done.further[CONTROL]["body"].tolist() == [0, 0]


def test_failure_of_one_vendor_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flower's strategy would go on with the others, at fewer steps."""
    federation = tiny_federation(tmp_path, ("a", "b", "c"), run__rounds=1)
    budget = StepBudget(rounds=({"a": 2, "b": 2, "c": 2},))
    whole = flower_run.baseline_app.whole_model

    def broken(baseline: Any, site: Any, received: Weights) -> Weights:
        if site.vendor == "b":
            raise RuntimeError("no disk")
        return whole(baseline, site, received)

    monkeypatch.setattr(flower_run.baseline_app, "whole_model", broken)
    with pytest.raises(SimulationError, match="no disk"):
        run_baseline("fedavg", federation, tmp_path / "run", budget, 0.1)
