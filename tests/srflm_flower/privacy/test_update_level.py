"""Clipping and noise of whole updates, and what they are worth."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant

from clients.privacy.update_level import protect_update
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.privacy.update_level import (
    update_level_statement,
    updates_at_most,
    vendor_level_epsilon,
)
from strategies.weights import Weights
from tests.support.learning.private_training import not_private_randomness
from tests.support.records import make_record
from tests.support.tiny import conduct, new_run, records_of, tiny_federation

START: Weights = {"a": np.ones((3, 4), np.float32), "b": np.zeros(5, np.float32)}


def moved(by: float) -> Weights:
    return {name: each + np.float32(by) for name, each in START.items()}


def protected(trained: Weights, clip: float, noise: float, seed: int = 1) -> Weights:
    return protect_update(START, trained, clip, noise, not_private_randomness(seed))


def norm(weights: Weights) -> float:
    return math.sqrt(sum(float(np.square(weights[n] - START[n]).sum()) for n in START))


@pytest.mark.parametrize("by", [0.0, 1e-6, 0.1, 3.0, 1e6])
def test_update_is_never_longer_than_the_clipping_norm(by: float) -> None:
    found = protected(moved(by), 0.5, 0.0)
    assert norm(found) == pytest.approx(min(0.5, norm(moved(by))), rel=1e-3, abs=1e-6)
    assert {name: each.dtype for name, each in found.items()} == {"a": np.float32, "b": np.float32}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_update_that_is_not_finite_becomes_none(value: float) -> None:
    trained = {**moved(0.1), "b": np.full(5, value, np.float32)}
    assert norm(protected(trained, 0.5, 0.0)) == 0


def test_noise_has_the_agreed_scale_in_every_coordinate() -> None:
    large: Weights = {"a": np.zeros(200_000, np.float32)}
    randomness = not_private_randomness(7)
    noise = protect_update(large, large, 0.5, 3.0, randomness)["a"]
    assert float(noise.std()) == pytest.approx(1.5, rel=0.01)
    assert abs(float(noise.mean())) < 0.02


def federation(folder: Path, **changes: object) -> Federation:
    return tiny_federation(folder, ("a", "b", "c"), privacy__update_clip=0.5, **changes)


def test_vendor_level_epsilon_is_not_below_the_truth(tmp_path: Path) -> None:
    agreed = federation(tmp_path, privacy__update_noise=8.0)
    truth = PLDAccountant()
    truth.compose(SelfComposedDpEvent(GaussianDpEvent(4.0), 12))
    exact = truth.get_epsilon(agreed.privacy.delta)
    assert exact <= vendor_level_epsilon(agreed, 12) <= 1.3 * exact
    assert vendor_level_epsilon(agreed, 0) == 0
    assert vendor_level_epsilon(federation(tmp_path), 1) == math.inf


def test_statement_says_what_it_is_worth(tmp_path: Path) -> None:
    records = [make_record(1)]
    assert update_level_statement(tiny_federation(tmp_path), records) == ""
    assert "hides nothing" in update_level_statement(federation(tmp_path), records)
    noisy = federation(tmp_path, privacy__update_noise=1.0)
    assert "with 3 vendors" in update_level_statement(noisy, records).lower()


def test_every_round_and_attempt_of_a_term_counts(tmp_path: Path) -> None:
    records = [make_record(1, round=5), make_record(2, round=10)]
    assert updates_at_most([]) == 0
    assert updates_at_most(records) == 10
    assert updates_at_most([records[0], make_record(2, round=10, attempt=2)]) == 20
    noisy = federation(tmp_path, privacy__update_noise=8.0)
    due = vendor_level_epsilon(noisy, 10)
    assert f"ε = {due:.3g}" in update_level_statement(noisy, records)


def test_what_every_vendor_sends_is_clipped(tmp_path: Path) -> None:
    agreed = tiny_federation(
        tmp_path,
        ("a", "b", "c"),
        privacy__update_clip=1e-3,
        run__rounds=2,
        aggregation__include_stale_server="never",
    )
    run = new_run(agreed, tmp_path / "run")
    conduct(run)
    updates = [path for v in "abc" for path in (run.site(v) / "updates").glob("*.safetensors")]
    assert len(updates) >= 3
    assert updates_at_most(records_of(run)) == 2
    free = new_run(with_changes(agreed, privacy__update_clip=None), tmp_path / "free")
    conduct(free)
    clipped, unclipped = (_travelled(each) for each in (run, free))
    assert clipped < 0.1 * unclipped


def _travelled(run: object) -> float:
    """Return how far the global model of a run is from where it began."""
    from clients.models.model_file import read_model_file
    from clients.networks.build import initial_network
    from clients.networks.weights import get_weights
    from srflm_flower.run.folder import RunFolder

    assert isinstance(run, RunFolder)
    agreed = run.federation()
    begin = get_weights(initial_network(agreed.model, agreed.task, agreed.seed))
    end = read_model_file(run.global_model).weights
    return math.sqrt(sum(float(np.square(end[n] - begin[n]).sum()) for n in begin))
