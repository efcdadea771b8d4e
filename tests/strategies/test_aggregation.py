"""Rules of aggregation, against NumPy."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.aggregation import Update, aggregate, joined
from strategies.settings import AggregationSettings
from strategies.weights import Weights, hash_weights

SHAPES = {"conv.weight": (3, 2), "bias": (4,), "scale": ()}
RULES = ("mean", "weighted-mean", "trimmed-mean", "krum")


def make_weights(seed: int, scale: float = 1.0) -> Weights:
    rng = np.random.default_rng(seed)
    return {
        name: np.asarray(rng.normal(size=shape) * scale, np.float32)
        for name, shape in SHAPES.items()
    }


def make_updates(*all_weights: Weights, examples: list[int] | None = None) -> dict[str, Update]:
    counts = examples or [10] * len(all_weights)
    return {
        f"v{index}": Update(weights, count)
        for index, (weights, count) in enumerate(zip(all_weights, counts, strict=True))
    }


def result(updates: dict[str, Update], **settings: object) -> Weights:
    return aggregate(updates, AggregationSettings.model_validate(settings))


def assert_close(found: Weights, expected: Weights) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].shape == array.shape
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6)


seeds = st.lists(st.integers(0, 2**31), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(seeds=seeds)
def test_mean_is_the_unweighted_mean(seeds: list[int]) -> None:
    inputs = [make_weights(seed) for seed in seeds]
    updates = make_updates(*inputs, examples=list(range(1, len(seeds) + 1)))
    expected = {name: np.mean([w[name] for w in inputs], axis=0) for name in SHAPES}
    assert_close(result(updates, rule="mean"), expected)


@settings(max_examples=40, deadline=None)
@given(
    vendors=st.lists(
        st.tuples(st.integers(0, 2**31), st.integers(1, 5000)), min_size=2, max_size=6
    ),
    weighted=st.booleans(),
    lengths=st.floats(0.01, 3),
)
def test_server_that_joins_counts_as_one_more_client_or_less_if_it_trains_longer(
    vendors: list[tuple[int, int]], weighted: bool, lengths: float
) -> None:
    models, counts = [make_weights(seed) for seed, _ in vendors], [n for _, n in vendors]
    rule = "weighted-mean" if weighted else "mean"
    averaged = result(make_updates(*models[1:], examples=counts[1:]), rule=rule)
    found = joined(averaged, models[0], counts[1:], counts[0], weighted, 20.0)
    assert_close(found, result(make_updates(*models, examples=counts), rule=rule))
    own, behind = (counts[0], sum(counts[1:])) if weighted else (1, len(counts) - 1)
    found = joined(averaged, models[0], counts[1:], counts[0], weighted, lengths)
    moved = min(own / (own + behind), lengths * own / behind)
    expected = {n: averaged[n] + moved * (models[0][n] - averaged[n]) for n in SHAPES}
    assert_close(found, expected)


@given(clients=st.integers(2, 8), longer=st.integers(2, 5), seed=st.integers(0, 999))
def test_every_vendors_training_moves_a_joined_model_as_far(
    clients: int, longer: int, seed: int
) -> None:
    """Each vendor pushes by its own vector in every step; the server takes more steps."""
    start, *pushes = [make_weights(seed + n) for n in range(clients + 2)]
    models = [{n: start[n] + push[n] for n in SHAPES} for push in pushes[:-1]]
    averaged = result(make_updates(*models), rule="mean")
    tuned = {n: averaged[n] + longer * pushes[-1][n] for n in SHAPES}
    found = joined(averaged, tuned, [1] * clients, 1, False, 1 / longer)
    even = {n: start[n] + np.sum([p[n] for p in pushes], axis=0) / clients for n in SHAPES}
    assert_close(found, even)


@settings(max_examples=40, deadline=None)
@given(
    updates=st.lists(
        st.tuples(st.integers(0, 2**31), st.integers(1, 5000)), min_size=1, max_size=6
    ),
)
def test_weighted_mean_weighs_by_examples(updates: list[tuple[int, int]]) -> None:
    inputs, counts = [make_weights(seed) for seed, _ in updates], [n for _, n in updates]
    expected = {
        name: np.average([w[name] for w in inputs], axis=0, weights=counts) for name in SHAPES
    }
    found = result(make_updates(*inputs, examples=counts), rule="weighted-mean")
    assert_close(found, expected)


def test_trimmed_mean_drops_an_outlier() -> None:
    good = [make_weights(seed) for seed in range(4)]
    updates = make_updates(*good, make_weights(9, scale=1e6))
    found = result(updates, rule="trimmed-mean", trim=0.2)
    everything = [*good, make_weights(9, scale=1e6)]
    expected = {
        name: np.sort([w[name] for w in everything], axis=0)[1:-1].mean(axis=0) for name in SHAPES
    }
    assert_close(found, expected)
    assert all(np.abs(array).max() < 5 for array in found.values())


def test_krum_picks_one_of_the_updates_and_not_the_outlier() -> None:
    good = [make_weights(seed, scale=0.1) for seed in range(4)]
    found = result(make_updates(make_weights(9, scale=1e3), *good), rule="krum", faulty=1)
    assert hash_weights(found) in {hash_weights(weights) for weights in good}


@pytest.mark.parametrize("rule", RULES)
def test_equal_updates_aggregate_to_themselves(rule: str) -> None:
    weights = make_weights(3)
    assert_close(result(make_updates(*[weights] * 5), rule=rule), weights)


@pytest.mark.parametrize("rule", RULES)
def test_updates_are_not_modified_and_give_the_same_again(rule: str) -> None:
    updates = make_updates(*(make_weights(seed) for seed in range(5)))
    before = {v: copy.deepcopy(update.weights) for v, update in updates.items()}
    first, second = (result(updates, rule=rule) for _ in range(2))
    assert hash_weights(first) == hash_weights(second)
    for vendor, weights in before.items():
        assert hash_weights(updates[vendor].weights) == hash_weights(weights)


@pytest.mark.parametrize("rule", RULES)
def test_single_precision_is_kept(rule: str) -> None:
    found = result(make_updates(*(make_weights(seed) for seed in range(5))), rule=rule)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("rule", RULES)
def test_single_update_is_its_own_aggregate(rule: str) -> None:
    assert_close(result(make_updates(make_weights(3)), rule=rule), make_weights(3))


@pytest.mark.parametrize("rule", RULES)
def test_nothing_cannot_be_aggregated(rule: str) -> None:
    with pytest.raises(ValueError, match="found no update, expected at least one"):
        result({}, rule=rule)
