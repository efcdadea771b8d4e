"""Laws of dividing one data set among vendors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.data.partition import (
    Indices,
    dirichlet_proportions,
    divide_by_class,
    divide_by_proportions,
    draw_dirichlet,
    keyed_splits,
    random_splits,
    stratified_subset,
)
from strategies.errors import ConfigurationError

CLASSES = 4
label_arrays = st.lists(st.integers(0, CLASSES - 1), max_size=120).map(
    lambda labels: np.array(labels, dtype=np.int64)
)
seeds = st.integers(0, 2**32)


def assert_partition(parts: list[Indices] | tuple[Indices, ...], count: int) -> None:
    """Check that the parts are disjoint, complete, and sorted."""
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    assert all((np.diff(part) > 0).all() for part in parts)


@settings(max_examples=60, deadline=None)
@given(labels=label_arrays, vendors=st.integers(1, 7), alpha=st.floats(0.01, 100), seed=seeds)
def test_division_by_proportions_is_a_partition(
    labels: Indices, vendors: int, alpha: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    proportions = dirichlet_proportions(CLASSES, vendors, alpha, rng)
    assert_partition(divide_by_proportions(labels, proportions, rng), len(labels))


@settings(max_examples=60, deadline=None)
@given(seed=seeds, vendors=st.integers(1, 7), alpha=st.floats(0.01, 100))
def test_every_vendor_gets_its_share_of_every_class_within_one(
    seed: int, vendors: int, alpha: float
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, 200)
    proportions = dirichlet_proportions(CLASSES, vendors, alpha, rng)
    parts = divide_by_proportions(labels, proportions, rng)
    counts = np.array([np.bincount(labels[part], minlength=CLASSES) for part in parts]).T
    expected = proportions * np.bincount(labels, minlength=CLASSES)[:, None]
    assert np.abs(counts - expected).max() <= 1 + 1e-9


def test_shares_of_a_class_sum_to_one() -> None:
    proportions = dirichlet_proportions(8, 5, 0.5, np.random.default_rng(0))
    assert proportions.shape == (8, 5)
    np.testing.assert_allclose(proportions.sum(axis=1), 1)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, alpha=st.sampled_from([0.5, 1.0, 10.0]), vendors=st.integers(2, 4))
def test_drawn_divisions_are_partitions_in_which_every_vendor_can_train(
    seed: int, alpha: float, vendors: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = [rng.integers(0, CLASSES, count) for count in (300, 100, 100)]
    parts = draw_dirichlet(labels, CLASSES, vendors, alpha, rng, min_train=8, min_classes=2)
    for split, of_split in zip(labels, parts, strict=True):
        assert_partition(of_split, len(split))
        assert all(len(part) > 0 for part in of_split)
    assert all(len(part) >= 8 for part in parts[0])
    assert all(len(np.unique(labels[0][part])) >= 2 for part in parts[0])


def test_division_is_reproducible_from_the_seed() -> None:
    labels = [np.arange(200) % CLASSES, np.arange(80) % CLASSES, np.arange(80) % CLASSES]

    def division(seed: int) -> list[list[int]]:
        rng = np.random.default_rng(seed)
        parts = draw_dirichlet(labels, CLASSES, 4, 0.5, rng, 4, 1)
        return [part.tolist() for split in parts for part in split]

    assert division(3) == division(3)
    assert division(3) != division(4)


def test_small_alpha_gives_more_unlike_vendors() -> None:
    rng = np.random.default_rng(0)
    spread = [dirichlet_proportions(500, 4, alpha, rng).std() for alpha in (0.1, 1.0, 100.0)]
    assert spread == sorted(spread, reverse=True)


def test_splits_of_a_vendor_have_the_same_class_mix() -> None:
    rng = np.random.default_rng(1)
    labels = [rng.integers(0, CLASSES, 4000) for _ in range(3)]
    parts = draw_dirichlet(labels, CLASSES, 3, 0.5, rng, 1, 1)
    for vendor in range(3):
        train, validation, _ = (
            np.bincount(split[parts[index][vendor]], minlength=CLASSES) / 4000
            for index, split in enumerate(labels)
        )
        np.testing.assert_allclose(train, validation, atol=0.03)


@pytest.mark.parametrize(
    ("train", "min_train", "min_classes"),
    [(10, 6, 1), (40, 8, CLASSES + 1), (3, 1, 1)],
)
def test_impossible_division_is_refused(train: int, min_train: int, min_classes: int) -> None:
    labels = [np.arange(count) % CLASSES for count in (train, 20, 20)]
    with pytest.raises(ConfigurationError) as caught:
        rng = np.random.default_rng(0)
        draw_dirichlet(labels, CLASSES, 4, 0.5, rng, min_train, min_classes)
    assert f"{train} training examples over 4 vendors" in caught.value.found
    assert "raise data.partition.alpha" in caught.value.mend


@settings(max_examples=60, deadline=None)
@given(
    labels=label_arrays,
    classes_of=st.lists(st.sets(st.integers(0, CLASSES - 1)), min_size=1, max_size=5),
    seed=seeds,
)
def test_division_by_class_gives_each_vendor_only_its_classes_and_loses_none(
    labels: Indices, classes_of: list[set[int]], seed: int
) -> None:
    owned = [sorted(classes) for classes in classes_of]
    parts = divide_by_class(labels, owned, np.random.default_rng(seed))
    everywhere = {label for classes in owned for label in classes}
    expected = [i for i, label in enumerate(labels) if label in everywhere]
    assert sorted(np.concatenate(parts).tolist()) == expected
    for part, classes in zip(parts, classes_of, strict=True):
        assert set(labels[part].tolist()) <= classes


def test_class_of_several_vendors_is_shared_evenly() -> None:
    labels = np.zeros(31, dtype=np.int64)
    parts = divide_by_class(labels, [(0,), (0, 1), (0,)], np.random.default_rng(0))
    assert sorted(len(part) for part in parts) == [10, 10, 11]


@settings(max_examples=80, deadline=None)
@given(
    counts=st.lists(st.integers(0, 80), min_size=1, max_size=5).filter(sum),
    limit=st.integers(1, 200),
    seed=seeds,
)
def test_stratified_subset_is_off_each_class_share_by_less_than_the_number_of_classes(
    counts: list[int], limit: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    subset = stratified_subset(labels, limit, rng)
    assert len(subset) == min(limit, len(labels))
    assert (np.diff(subset) > 0).all()
    kept = np.bincount(labels[subset], minlength=len(counts))
    share = np.array(counts) * len(subset) / len(labels)
    assert np.abs(kept - share).max() <= max(1, len(counts) - 1)


@pytest.mark.parametrize("limit", [100, 333, 1600])
def test_stratified_subset_of_large_classes_keeps_their_shares_within_two(limit: int) -> None:
    rng = np.random.default_rng(5)
    labels = rng.permutation(
        np.repeat(np.arange(8), [850, 1700, 1300, 2200, 950, 1100, 2500, 1600])
    )
    kept = np.bincount(labels[stratified_subset(labels, limit, rng)])
    assert np.abs(kept - np.bincount(labels) * limit / len(labels)).max() < 2


def test_no_limit_keeps_everything() -> None:
    labels = np.array([1, 0, 1])
    rng = np.random.default_rng(0)
    assert stratified_subset(labels, None, rng).tolist() == [0, 1, 2]
    assert stratified_subset(labels, 3, rng).tolist() == [0, 1, 2]


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 200),
    validation=st.floats(0.01, 0.49),
    test=st.floats(0.01, 0.49),
    seed=seeds,
)
def test_random_splits_are_a_partition_of_the_stated_sizes(
    count: int, validation: float, test: float, seed: int
) -> None:
    splits = random_splits(count, validation, test, np.random.default_rng(seed))
    assert_partition(splits, count)
    assert [len(split) for split in splits[1:]] == [round(validation * count), round(test * count)]


names = st.text(st.characters(codec="utf-8"), max_size=4)


@settings(max_examples=100, deadline=None)
@given(
    present=st.lists(names, max_size=60),
    changed=st.lists(names, min_size=1, max_size=3),
    validation=st.floats(0.01, 0.49),
    test=st.floats(0.01, 0.49),
    key=st.binary(max_size=8),
)
def test_names_that_come_and_go_move_no_other_name(
    present: list[str], changed: list[str], validation: float, test: float, key: bytes
) -> None:
    def splits_of(groups: list[str]) -> dict[str, int]:
        parts = keyed_splits(groups, validation, test, key)
        assert_partition(parts, len(groups))
        return {groups[n]: split for split, part in enumerate(parts) for n in part.tolist()}

    before, after = splits_of(present), splits_of([*changed, *present])
    assert before.items() <= after.items(), "the examples of one name are in one split"


def test_keyed_splits_have_the_stated_fractions_and_depend_on_the_key() -> None:
    groups = [f"record {n}" for n in range(10_000)]
    sizes = [len(part) for part in keyed_splits(groups, 0.2, 0.1, b"key")]
    assert sizes == pytest.approx([7000, 2000, 1000], abs=150)
    one, other = (set(keyed_splits(groups, 0.2, 0.1, key)[0].tolist()) for key in (b"1", b"2"))
    assert len(one & other) == pytest.approx(4900, abs=200)
