"""Rules of the sum: exact, whoever is lost, as long as a majority of the clients stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.errors import MessageRefused
from strategies.secure_aggregation.quantising import Residues, agreed_quantiser, mean_from
from strategies.secure_aggregation.sharing import NotRecovered
from tests.support.aggregation import PHASES, Aggregation, random_inputs

SIZE = 50


def expected(inputs: dict[str, Residues], vendors: list[str]) -> Residues:
    total = sum(inputs[vendor].astype(object) for vendor in vendors)
    return np.array([int(each) % 2**32 for each in total], np.uint32)


@settings(max_examples=15, deadline=None)
@given(count=st.integers(3, 10), seed=st.integers(0, 2**32 - 1))
def test_mean_differs_from_the_true_one_by_half_a_step_at_most(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = {"b": rng.normal(size=(3, 5)), "a": rng.normal(size=4)}
    updates = {
        f"c{n}": {name: array + rng.uniform(-2, 2, array.shape) for name, array in start.items()}
        for n in range(count)
    }
    quantiser = agreed_quantiser(2.0, count + 1)
    inputs = {v: quantiser.encode(update, start) for v, update in updates.items()}
    total = Aggregation(count).run(inputs)
    np.testing.assert_array_equal(total, expected(inputs, list(inputs)))
    mean = mean_from(quantiser.decode(total, start), count, start, None)
    for name in start:
        true = np.mean([update[name] for update in updates.values()], axis=0)
        assert np.abs(mean[name] - true).max() <= quantiser.step / 2 * (1 + 1e-6)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), count=st.integers(3, 10))
def test_any_minority_may_be_lost_in_any_phases(data: st.DataObject, count: int) -> None:
    aggregation = Aggregation(count)
    names = list(aggregation.clients)
    most = count - aggregation.threshold
    lost = data.draw(
        st.dictionaries(st.sampled_from(names), st.sampled_from(PHASES), max_size=most)
    )
    inputs = random_inputs(names, SIZE)
    total = aggregation.run(inputs, lambda phase, vendor: lost.get(vendor) == phase)
    counted = [v for v in names if lost.get(v) not in ("keys", "shares", "masked")]
    np.testing.assert_array_equal(total, expected(inputs, counted))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("vendor", ["c0", "c1", "c2"])
def test_one_of_three_may_be_lost(vendor: str, phase: str) -> None:
    inputs = random_inputs(["c0", "c1", "c2"], SIZE)
    total = Aggregation(3).run(inputs, lambda at, who: (at, who) == (phase, vendor))
    gone = phase in ("keys", "shares", "masked")
    np.testing.assert_array_equal(
        total, expected(inputs, [v for v in inputs if not (gone and v == vendor)])
    )


@pytest.mark.parametrize("phase", PHASES[:4])
@pytest.mark.parametrize("count", [3, 4, 9])
def test_with_a_majority_lost_nobody_reveals_anything(count: int, phase: str) -> None:
    aggregation = Aggregation(count)
    gone = set(list(aggregation.clients)[: count - aggregation.threshold + 1])
    with pytest.raises(MessageRefused):
        aggregation.run(
            random_inputs(aggregation.clients, SIZE),
            lambda at, vendor: at == phase and vendor in gone,
        )
    assert aggregation.released == {}


def test_shares_of_a_minority_unmask_nothing() -> None:
    aggregation = Aggregation(5)
    with pytest.raises(NotRecovered):
        aggregation.run(
            random_inputs(aggregation.clients, SIZE),
            lambda at, vendor: at == "unmask" and vendor in ("c0", "c1", "c2"),
        )


def test_wrong_shares_of_a_minority_do_no_harm() -> None:
    aggregation = Aggregation(5)
    inputs = random_inputs(aggregation.clients, SIZE)
    aggregation.run(inputs)
    for liar in ("c0", "c3"):
        aggregation.released[liar] = dict.fromkeys(aggregation.clients, "ab" * 32)
    total = aggregation.unmasking().total(aggregation.masked)
    np.testing.assert_array_equal(total, expected(inputs, list(inputs)))


def test_wrong_shares_of_a_majority_are_noticed() -> None:
    aggregation = Aggregation(5)
    aggregation.run(random_inputs(aggregation.clients, SIZE))
    for liar in ("c0", "c1", "c3"):
        aggregation.released[liar] = dict.fromkeys(aggregation.clients, "ab" * 32)
    with pytest.raises(NotRecovered):
        aggregation.unmasking().total(aggregation.masked)


def test_fewer_updates_than_a_client_asks_for_are_not_added() -> None:
    inputs = random_inputs(["c0", "c1", "c2"], SIZE)
    Aggregation(3, fewest=3).run(inputs)
    with pytest.raises(MessageRefused, match="3 at least"):
        Aggregation(3, fewest=3).run(inputs, lambda at, who: (at, who) == ("masked", "c1"))
