"""Laws of the statistics over seeds."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from srflm_flower.comparison.statistics import (
    Column,
    below,
    over_vendors,
    paired_difference,
    spread,
    worst,
)

METRIC = st.floats(0, 1)
SEEDS = st.integers(0, 99)
VENDORS = ("a", "b", "c")


def columns(least: int = 1) -> st.SearchStrategy[dict[int, dict[str, float]]]:
    by_vendor = st.fixed_dictionaries(dict.fromkeys(VENDORS, METRIC))
    return st.dictionaries(SEEDS, by_vendor, min_size=least, max_size=8)


def shuffled(column: Column, seed: int) -> Column:
    items = list(column.items())
    Random(seed).shuffle(items)
    return dict(items)


@given(columns(2))
def test_interval_of_equal_columns_is_zero_and_holds_zero(column: Column) -> None:
    found = paired_difference(column, column)
    assert found is not None and found.low is not None and found.high is not None
    assert found.low <= 0 <= found.high
    assert found.mean == found.low == found.high == 0


@given(columns(2), st.integers(0, 9))
def test_order_of_the_seeds_does_not_matter(column: Column, order: int) -> None:
    other = {seed: {v: 1 - m for v, m in each.items()} for seed, each in column.items()}
    mixed = shuffled(column, order)
    assert paired_difference(column, other) == paired_difference(mixed, shuffled(other, order + 1))
    assert spread(over_vendors(column)) == spread(over_vendors(mixed))
    assert spread(worst(column)) == spread(worst(mixed))
    assert below(column, other) == below(mixed, other)


@given(columns(2), columns(2))
def test_exchange_of_the_methods_changes_the_sign(ours: Column, theirs: Column) -> None:
    one, other = paired_difference(ours, theirs), paired_difference(theirs, ours)
    if one is None or other is None:
        assert one is other is None
        return
    assert one.mean == pytest.approx(-other.mean)
    assert one.seeds == other.seeds == len(ours.keys() & theirs.keys())
    if one.low is not None and other.high is not None:
        assert one.low == pytest.approx(-other.high)


@given(columns(2), st.floats(0.01, 0.5))
def test_constant_gain_is_certain(column: Column, gain: float) -> None:
    better = {seed: {v: m + gain for v, m in each.items()} for seed, each in column.items()}
    found = paired_difference(better, column)
    assert found is not None and found.low is not None
    assert found.mean == pytest.approx(gain)
    assert found.low == pytest.approx(gain, abs=1e-6)


def test_interval_is_that_of_the_paired_t_test() -> None:
    ours = {1: {"a": 0.9, "b": 0.8}, 2: {"a": 0.7, "b": 0.6}, 3: {"a": 0.8, "b": 0.7}}
    theirs = {1: {"a": 0.8, "b": 0.7}, 2: {"a": 0.7, "b": 0.5}, 3: {"a": 0.6, "b": 0.8}}
    found = paired_difference(ours, theirs)
    means = [[sum(c[seed].values()) / 2 for seed in (1, 2, 3)] for c in (ours, theirs)]
    expected = ttest_rel(*means).confidence_interval(0.95)
    assert found is not None and found.low is not None and found.high is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_single_seed_has_a_difference_but_no_interval() -> None:
    found = paired_difference({1: {"a": 0.5}}, {1: {"a": 0.25}})
    assert found is not None
    assert (found.mean, found.low, found.high, found.seeds) == (0.25, None, None, 1)


def test_only_seeds_and_vendors_of_both_are_paired() -> None:
    found = paired_difference({1: {"a": 0.5, "b": 1.0}, 2: {"a": 1.0}}, {1: {"a": 0.25}, 3: {}})
    assert found is not None and (found.mean, found.seeds) == (0.25, 1)
    assert paired_difference({1: {"a": 1.0}}, {2: {"a": 1.0}}) is None


def test_worst_vendor_is_the_lowest_of_each_seed() -> None:
    column = {1: {"a": 0.9, "b": 0.5}, 2: {"a": 0.3, "b": 0.7}, 3: {}}
    assert worst(column) == {1: 0.5, 2: 0.3}
    found = spread(worst(column))
    assert found is not None and found.mean == pytest.approx(0.4)


def test_vendors_below_by_more_than_the_margin_are_counted() -> None:
    ours, theirs = {1: {"a": 0.5, "b": 0.485}}, {1: {"a": 0.505, "b": 0.5}}
    found = below(ours, theirs)
    assert found is not None and (found.below, found.vendor_seeds) == (1, 2)
    assert below(ours, ours, margin=0.0) is not None
    assert below({}, theirs) is None


@given(columns())
def test_nobody_is_below_itself(column: Column) -> None:
    found = below(column, column)
    assert found is not None and found.below == 0
    assert found.vendor_seeds == len(VENDORS) * len(column)
    whole = spread(over_vendors(column))
    assert whole is not None and not math.isnan(whole.deviation)
