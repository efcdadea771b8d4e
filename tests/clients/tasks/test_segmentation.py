"""Rules of segmentation, against figures computed anew with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from clients.tasks.losses import dice_and_cross_entropy
from clients.tasks.registry import task_of
from clients.tasks.segmentation import Segmentation
from clients.tasks.task import Cases
from strategies.errors import DataError
from tests.support.learning.tasks import segmentation

THREE = Segmentation(segmentation(classes=3))
VOLUMES = Segmentation(segmentation(spatial_dims=3, classes=2))


def logits_of(masks: torch.Tensor, classes: int) -> torch.Tensor:
    """Return logits that are highest for the labels in ``masks``."""
    return functional.one_hot(masks, classes).movedim(-1, 1).float() * 9


def cases_of(masks: torch.Tensor, *spacing: float) -> Cases:
    space = masks.ndim - 1
    size = torch.tensor([spacing or (1.0,) * space]).expand(len(masks), space)
    return Cases(torch.zeros(len(masks), 1, *masks.shape[1:]), masks, size)


def dice(found: NDArray[Any], truth: NDArray[Any]) -> float | None:
    """Return the Dice of two binary masks, by the rule of the documentation."""
    both = found.sum() + truth.sum()
    return 2 * float((found & truth).sum()) / both if both else None


@settings(max_examples=60, deadline=None)
@given(found=st.integers(0, 2**32), truth=st.integers(0, 2**32), most=st.integers(0, 2))
def test_dice_equals_an_independent_computation(found: int, truth: int, most: int) -> None:
    guess = torch.from_numpy(np.random.default_rng(found).integers(0, most + 1, (4, 5, 6)))
    masks = torch.from_numpy(np.random.default_rng(truth).integers(0, 3, (4, 5, 6)))
    metrics = THREE.summary(THREE.scores(logits_of(guess, 3), cases_of(masks), False))
    each = [
        [dice((g == label).numpy(), (m == label).numpy()) for label in (1, 2)]
        for g, m in zip(guess, masks, strict=True)
    ]
    for label in (1, 2):
        values = [row[label - 1] for row in each if row[label - 1] is not None]
        name = f"dice-organ-{label}"
        assert metrics.get(name) == (pytest.approx(np.mean(values)) if values else None)
    defined = [
        np.mean([v for v in row if v is not None])
        for row in each
        if any(v is not None for v in row)
    ]
    assert metrics.get("dice") == (pytest.approx(np.mean(defined)) if defined else None)


def test_class_in_neither_mask_is_left_out_and_in_one_of_them_is_zero() -> None:
    truth = torch.zeros(3, 8, 8, dtype=torch.long)
    guess = truth.clone()
    truth[1, :2] = 1  # found in the first case nowhere, in the second in the truth only
    guess[2, :2] = 2  # and in the third in the prediction only
    scores = THREE.scores(logits_of(guess, 3), cases_of(truth), True)
    metrics = THREE.summary(scores)
    assert (metrics["dice-organ-1"], metrics["dice-organ-2"], metrics["dice"]) == (0, 0, 0)
    assert not {"hd95", "hd95-organ-1"} & metrics.keys()
    assert THREE.shares(scores).tolist() == [1, 0, 0]


def test_perfect_segmentation_has_a_dice_of_one_and_no_distance() -> None:
    truth = torch.zeros(2, 8, 8, dtype=torch.long)
    truth[:, 2:5, 2:5], truth[:, 6:] = 1, 2
    metrics = THREE.summary(THREE.scores(logits_of(truth, 3), cases_of(truth), True))
    assert metrics["dice"] == metrics["dice-organ-1"] == metrics["dice-organ-2"] == 1
    assert metrics["hd95"] == metrics["hd95-organ-2"] == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shift", [1, 3])
def test_distance_is_in_mm_along_each_axis(axis: int, shift: int) -> None:
    """Every point of a plane that has moved is as far from it as the plane has moved."""
    spacing = (0.5, 2.0, 3.5)
    truth = torch.zeros(1, 12, 12, 12, dtype=torch.long)
    truth.select(axis + 1, 4)[:] = 1
    guess = truth.roll(shift, dims=axis + 1)
    metrics = VOLUMES.summary(VOLUMES.scores(logits_of(guess, 2), cases_of(truth, *spacing), True))
    assert metrics["hd95"] == pytest.approx(shift * spacing[axis])
    assert metrics["dice"] == 0


def test_each_case_has_its_own_spacing() -> None:
    truth = torch.zeros(2, 12, 12, dtype=torch.long)
    truth[:, 4] = 1
    cases = cases_of(truth)._replace(spacing=torch.tensor([[1.0, 1.0], [5.0, 1.0]]))
    scores = THREE.scores(logits_of(truth.roll(2, dims=1), 3), cases, True)
    each = [THREE.summary(scores[row, None])["hd95"] for row in (0, 1)]
    assert each == pytest.approx([2.0, 10.0])


def test_distances_are_left_out_where_they_choose_nothing() -> None:
    truth = torch.ones(1, 8, 8, dtype=torch.long)
    metrics = THREE.summary(THREE.scores(logits_of(truth, 3), cases_of(truth), False))
    assert "dice" in metrics and not any(name.startswith("hd95") for name in metrics)


def test_loss_is_one_number_a_record_and_choosing_needs_no_distance() -> None:
    masks = torch.randint(0, 3, (4, 8, 8))
    outputs = torch.randn(4, 3, 8, 8)
    losses = THREE.loss(outputs, masks)
    assert losses.shape == (4,)
    assert losses.equal(dice_and_cross_entropy(outputs, masks))
    assert THREE.confidence(outputs, masks).tolist() == pytest.approx((-losses).tolist())


def test_result_has_the_label_of_each_pixel() -> None:
    masks = torch.randint(0, 3, (1, 8, 9))
    found = THREE.result(logits_of(masks, 3))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, masks[0].numpy())


@pytest.mark.parametrize(
    ("masks", "code", "words"),
    [
        (torch.zeros(2, 8, 9, dtype=torch.long), DataError.SHAPE, "shape (2, 8, 8)"),
        (torch.full((2, 8, 8), 3), DataError.LABELS_OUTSIDE_CLASSES, "labels from 0 to 2"),
        (torch.full((2, 8, 8), -1), DataError.LABELS_OUTSIDE_CLASSES, "labels from 0 to 2"),
        (torch.zeros(2, 8, 8, dtype=torch.long), DataError.ONE_CLASS, "one pixel of another class"),
    ],
    ids=["shape", "unknown", "negative", "empty"],
)
def test_masks_that_do_not_fit_are_refused(masks: torch.Tensor, code: str, words: str) -> None:
    cases = Cases(torch.zeros(2, 1, 8, 8), masks, torch.ones(2, 2))
    with pytest.raises(DataError) as caught:
        found = task_of(THREE.settings).check(cases, "vendor 'a' has train")
        THREE.check_variety(found, "vendor 'a' has train")
    assert caught.value.code == code
    assert words in str(caught.value)
    if code == DataError.ONE_CLASS:
        THREE.check(cases, "vendor 'a' has train")
