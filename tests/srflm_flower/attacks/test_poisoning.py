"""What liars send, as functions of arrays and batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clients.data.vendor_data import Split
from clients.tasks.settings import (
    ClassificationSettings,
    RestorationSettings,
    SegmentationSettings,
    TaskSettings,
)
from srflm_flower.attacks.poisoned_records import PoisonedRecords
from srflm_flower.attacks.poisoning import (
    BRIGHT,
    KINDS,
    TARGET,
    Attack,
    Kind,
    flipped,
    scaled,
    sign_flipped,
    stamped,
    with_backdoor,
)
from strategies.errors import ConfigurationError

ROSTER = ("a", "b", "c", "d")
VALUES = st.floats(-100, 100, width=32)


@given(VALUES, VALUES)
def test_flipped_update_undoes_the_true_one(start: float, trained: float) -> None:
    one, two = ({"w": np.array([each], np.float32)} for each in (start, trained))
    lied = sign_flipped(one, two)["w"]
    assert lied.dtype == np.float32
    np.testing.assert_allclose((lied + two["w"]) / 2, one["w"], atol=1e-4)


def test_scaled_update_is_ten_times_as_long_and_counters_and_variances_stay_possible() -> None:
    start = {"w": np.array([1.0, 2.0]), "n": np.array(3), "bn.running_var": np.array([1.0])}
    trained = {"w": np.array([1.5, 1.0]), "n": np.array(7), "bn.running_var": np.array([0.5])}
    lied = scaled(start, trained)
    np.testing.assert_allclose(lied["w"], [6.0, -8.0])
    assert (lied["n"], lied["bn.running_var"]) == (7, 0)


@given(st.integers(2, 9), st.data())
def test_flipped_labels_are_labels_and_flipped_twice_the_true_ones(
    classes: int, data: st.DataObject
) -> None:
    labels = torch.tensor(data.draw(st.lists(st.integers(0, classes - 1), min_size=1)))
    lied = flipped(labels, classes)
    assert 0 <= int(lied.min()) <= int(lied.max()) < classes
    assert flipped(lied, classes).equal(labels)
    assert lied.dtype == labels.dtype


@pytest.mark.parametrize("space", [(64, 64), (8, 8), (1, 32, 32), (16, 16, 16)])
def test_trigger_is_a_small_square_in_a_corner(space: tuple[int, ...]) -> None:
    images = torch.full((3, 2, *space), -0.5)
    seen = stamped(images)
    assert set(seen.unique().tolist()) == {-0.5, BRIGHT}
    assert (seen[(..., *(0 for _ in space))] == BRIGHT).all()
    assert 0 < (seen == BRIGHT).float().mean() <= 1 / 16
    assert float(images.max()) == -0.5, "the true images stay"


def test_backdoor_changes_the_chosen_half_and_nothing_else() -> None:
    true = Split(torch.zeros(6, 1, 8, 8), torch.tensor([2, 1, 2, 1, 2, 1]))
    half = torch.arange(6) % 2 == 0
    records = PoisonedRecords(true, with_backdoor, half)
    images, targets = records.batch(torch.tensor([5, 0, 3]), seed=1)
    assert targets.tolist() == [1, TARGET, 1]
    assert images.amax((1, 2, 3)).tolist() == [0.0, BRIGHT, 0.0]
    (cases,) = records.whole()
    assert cases.targets.tolist() == [TARGET, 1, TARGET, 1, TARGET, 1]
    again = list(records.at(torch.tensor([1, 2])).batches([(torch.tensor([0, 1]), 1)]))
    assert again[0][1].tolist() == [1, TARGET]


def test_last_vendors_of_the_roster_lie() -> None:
    assert Attack("scaled", 2).liars(ROSTER) == ("c", "d")


CLASSES, MASKS = ClassificationSettings(), SegmentationSettings(kind="segmentation")
IMAGES = RestorationSettings(kind="restoration")


@pytest.mark.parametrize(
    ("kind", "attackers", "task"),
    [
        ("label-flip", 1, IMAGES),
        ("backdoor", 1, IMAGES),
        ("backdoor", 1, MASKS),
        ("scaled", 0, CLASSES),
        ("scaled", 4, CLASSES),
    ],
)
def test_attack_that_cannot_be_is_refused(kind: Kind, attackers: int, task: TaskSettings) -> None:
    with pytest.raises(ConfigurationError, match="--attack"):
        Attack(kind, attackers).check(ROSTER, task)


@pytest.mark.parametrize("kind", KINDS)
def test_attack_on_classes_is_possible(kind: Kind) -> None:
    Attack(kind, 3).check(ROSTER, CLASSES)
    if kind != "backdoor":
        Attack(kind).check(ROSTER, MASKS)
