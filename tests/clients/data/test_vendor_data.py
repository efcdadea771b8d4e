"""Rules of a vendor's data in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.data.examples import Examples
from clients.data.vendor_data import SPLITS, Split, VendorData, as_split, check_vendor_data
from clients.tasks.registry import task_of
from strategies.errors import DataError
from tests.support.learning.tasks import classification


def split_of(*labels: int, channels: int = 1, size: int = 8) -> Split:
    return Split(torch.zeros(len(labels), channels, size, size), torch.tensor(labels).long())


GREY = classification()
GOOD = VendorData(split_of(*[0, 1] * 8), split_of(0, 1), split_of(1))


def check(data: VendorData, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "vendor": "aster",
        "task": task_of(classification()),
        "batch_size": 16,
        "allow_one_class": False,
    }
    check_vendor_data(data, **(settings | changes))


# ---- as_split ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "dims", "expected"),
    [
        ((5, 28, 28), 2, (5, 1, 28, 28)),
        ((5, 28, 28, 3), 2, (5, 3, 28, 28)),
        ((5, 28, 28, 1), 2, (5, 1, 28, 28)),
        ((5, 3, 28, 20), 2, (5, 3, 28, 20)),
        ((5, 4, 28, 20), 2, (5, 4, 28, 20)),
        ((5, 2, 28, 20), 2, (5, 2, 28, 20)),
        ((5, 28, 20, 2), 2, (5, 2, 28, 20)),
        ((5, 3, 28, 1), 2, (5, 1, 3, 28)),
        ((5, 16, 17, 18), 3, (5, 1, 16, 17, 18)),
        ((5, 16, 17, 18, 3), 3, (5, 3, 16, 17, 18)),
        ((5, 1, 16, 17, 18), 3, (5, 1, 16, 17, 18)),
    ],
)
def test_images_come_out_channels_first(
    shape: tuple[int, ...], dims: int, expected: tuple[int, ...]
) -> None:
    split = as_split(
        Examples(np.zeros(shape, np.uint8), np.zeros(5)), classification(dims, expected[1])
    )
    assert split.images.shape == expected
    assert split.images.dtype == torch.float32
    assert split.images.is_contiguous()


def test_channels_last_images_keep_their_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 10, 3), dtype=np.uint8)
    split = as_split(Examples(images, np.zeros(2)), classification(2, 3))
    back = (split.images.movedim(1, -1).numpy() + 1) / 2 * 255
    np.testing.assert_allclose(back, images, atol=1e-3)


def test_bytes_and_fractions_both_map_to_minus_one_to_one() -> None:
    of_bytes = as_split(Examples(np.array([[[0, 255]], [[51, 204]]], np.uint8), np.zeros(2)), GREY)
    of_fractions = as_split(Examples(np.array([[[0, 1.0]], [[0.2, 0.8]]]), np.zeros(2)), GREY)
    np.testing.assert_allclose(of_bytes.images.flatten(), [-1, 1, -0.6, 0.6], atol=1e-6)
    torch.testing.assert_close(of_bytes.images, of_fractions.images)


def test_raw_arrays_are_left_as_they_were() -> None:
    images = np.full((2, 8, 8), 0.25, np.float32)
    as_split(Examples(images, np.zeros(2)), GREY)
    assert (images == 0.25).all()


@settings(max_examples=25, deadline=None)
@given(labels=st.lists(st.integers(0, 7), max_size=9), column=st.booleans())
def test_labels_come_out_flat(labels: list[int], column: bool) -> None:
    raw = np.array(labels, np.uint8)
    split = as_split(
        Examples(np.zeros((len(labels), 8, 8)), raw[:, None] if column else raw),
        GREY,
    )
    assert split.targets.dtype == torch.int64
    assert split.targets.tolist() == labels
    assert len(split) == len(labels)


# ---- check_vendor_data ---------------------------------------------------------------------------


def test_good_data_are_accepted() -> None:
    check(GOOD)


def refused(data: VendorData, **changes: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        check(data, **changes)
    return caught.value


@pytest.mark.parametrize("name", SPLITS)
def test_vendor_without_examples_in_a_split_is_refused(name: str) -> None:
    error = refused(replace(GOOD, **{name: split_of()}))
    assert error.code == DataError.NO_EXAMPLES
    assert f"'aster' has no {name} examples" in error.found
    assert "take it out of the roster" in error.mend


@pytest.mark.parametrize("label", [-1, 2])
@pytest.mark.parametrize("name", SPLITS)
def test_label_outside_the_classes_is_refused_in_every_split(name: str, label: int) -> None:
    error = refused(replace(GOOD, **{name: split_of(*[0, 1] * 8, label)}))
    assert error.code == DataError.LABELS_OUTSIDE_CLASSES
    assert f"{name} labels from" in error.found
    assert "labels from 0 to 1" in error.expected
    assert "task.classes" in error.mend


def test_vendor_with_one_class_is_refused_unless_allowed() -> None:
    one_class = replace(GOOD, train=split_of(*[1] * 16))
    error = refused(one_class)
    assert error.code == DataError.ONE_CLASS
    assert "splits.allow-one-class = true" in error.mend
    check(one_class, allow_one_class=True)


def test_batch_larger_than_the_training_data_is_refused() -> None:
    error = refused(GOOD, batch_size=17)
    assert error.code == DataError.BATCH_TOO_LARGE
    assert "16 training examples for batches of 17" in error.found
    assert "training.batch-size to 16 or less" in error.mend


@pytest.mark.parametrize(
    "train",
    [split_of(*[0, 1] * 8, channels=3), Split(torch.zeros(16, 1, 8), GOOD.train.targets)],
    ids=["channels", "dimensions"],
)
def test_images_that_do_not_fit_the_task_are_refused(train: Split) -> None:
    error = refused(replace(GOOD, train=train))
    assert error.code == DataError.SHAPE
    assert str(tuple(train.images.shape)) in error.found
    assert "task.channels and task.spatial-dims" in error.mend


@pytest.mark.parametrize("name", ["validation", "test"])
def test_splits_of_different_size_are_refused(name: str) -> None:
    error = refused(replace(GOOD, **{name: split_of(0, 1, size=9)}))
    assert error.code == DataError.SHAPE
    assert f"{name} images of size (9, 9), train images of size (8, 8)" in error.found


def test_images_without_a_label_each_are_refused() -> None:
    error = refused(replace(GOOD, train=Split(torch.zeros(17, 1, 8, 8), GOOD.train.targets)))
    assert error.code == DataError.SHAPE
    assert "17 train images, 16 targets" in error.found


def test_splits_are_found_by_name() -> None:
    assert [GOOD.split(name) for name in SPLITS] == [GOOD.train, GOOD.validation, GOOD.test]
