"""Rules of ServerRotating as a strategy of Flower."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from flwr.app import ConfigRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from strategies.server_rotating import ServerRotating
from strategies.term.plan import TermJournal
from strategies.weights import Model, to_arrays
from tests.support.tiny import tiny_federation

INITIAL = Model.of({"w": np.zeros(2, np.float32)})
NOT_USED = cast(Grid, None)


class EmptyJournal:
    """The journal of a run that has committed no term."""

    def genesis(self) -> str:
        return INITIAL.hash

    def records(self) -> tuple[()]:
        return ()


@pytest.fixture
def strategy(tmp_path: Path) -> ServerRotating:
    federation = tiny_federation(tmp_path)
    plan, election = federation.term_plan(), federation.election_policy()
    journal = cast(TermJournal, EmptyJournal())
    return ServerRotating(plan, election, federation.aggregation, journal)


def test_it_is_a_flower_strategy_whose_start_returns_flowers_result(
    strategy: ServerRotating,
) -> None:
    assert isinstance(strategy, Strategy)
    result = strategy.start(NOT_USED, to_arrays(INITIAL.weights), num_rounds=0)
    assert result.evaluate_metrics_clientapp == {}


@pytest.mark.parametrize(
    "step", ["configure_train", "aggregate_train", "configure_evaluate", "aggregate_evaluate"]
)
def test_steps_of_flowers_own_loop_say_that_they_do_not_exist(
    strategy: ServerRotating, step: str
) -> None:
    with pytest.raises(TypeError, match=r"ServerRotating has a loop of its own: call start\(\)"):
        getattr(strategy, step)(1, to_arrays(INITIAL.weights), ConfigRecord(), NOT_USED)


@pytest.mark.parametrize("name", ["train_config", "evaluate_config"])
def test_settings_that_the_federation_has_agreed_are_refused(
    strategy: ServerRotating, name: str
) -> None:
    settings: dict[str, Any] = {name: ConfigRecord({"lr": 0.5})}
    with pytest.raises(ValueError, match="agreed plan"):
        strategy.start(NOT_USED, to_arrays(INITIAL.weights), **settings)


def test_other_initial_arrays_than_the_journals_are_refused(strategy: ServerRotating) -> None:
    with pytest.raises(ValueError, match="not the model that the journal begins with"):
        strategy.start(NOT_USED, to_arrays({"w": np.ones(2, np.float32)}))
