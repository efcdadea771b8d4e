"""Laws of records that have arrays of their own: patches, whole cases, joined vendors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from clients.data.joined import JoinedRecords, join
from clients.data.records import BLANK, Records
from clients.data.separate import PLACES, SeparateRecords
from clients.data.vendor_data import Split, VendorData, as_inputs, check_vendor_data
from clients.evaluation import evaluate
from clients.files.checkpoint import Checkpoint
from clients.seeds import derive_seed
from clients.settings import TrainingSettings
from clients.tasks.registry import task_of
from clients.training import Work, train
from strategies.errors import DataError
from tests.support.learning.tasks import segmentation

CPU = torch.device("cpu")
TRAINING = TrainingSettings(batch_size=2)
TASK = task_of(segmentation(classes=3))
SIDES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))


def numbered(sides: tuple[int, ...]) -> NDArray[Any]:
    """Return an image in which every voxel has a value of its own, in [0, 1]."""
    count = math.prod(sides)
    return (np.arange(count, dtype=np.float32) / max(1, count)).reshape(1, *sides)


def records_of(*sides: tuple[int, ...], **settings: Any) -> SeparateRecords:
    """Return numbered images with masks of which a few voxels are labelled 1 and 2."""
    masks = []
    for each in sides:
        mask = np.zeros(math.prod(each), np.uint8)
        mask[::7], mask[3::11] = 1, 2
        masks.append(mask.reshape(each))
    spacing = torch.ones(len(sides), len(sides[0]), dtype=torch.float64)
    return SeparateRecords(tuple(map(numbered, sides)), tuple(masks), spacing, **settings)


def stacked(records: SeparateRecords) -> Split:
    images = torch.cat([cases.images for cases in records.whole()])
    return Split(images, torch.cat([cases.targets for cases in records.whole()]))


@given(
    sides=SIDES, patch=SIDES, foreground=st.sampled_from([0.0, 0.5, 1.0]), seed=st.integers(0, 99)
)
def test_patch_is_a_part_of_its_record_with_the_mask_of_that_place(
    sides: tuple[int, ...], patch: tuple[int, ...], foreground: float, seed: int
) -> None:
    records = records_of(sides, patch=patch, foreground=foreground)
    images, masks = records.batch(torch.tensor([0]), seed)
    assert images.shape == (1, 1, *patch) and masks.shape == (1, *patch)
    whole = next(records.whole())
    mask_at = dict(
        zip(whole.images.flatten().tolist(), whole.targets.flatten().tolist(), strict=True)
    )
    inside = [min(one, most) for one, most in zip(patch, sides, strict=True)]
    values = images.flatten().tolist()
    found = [value for value in values if value in mask_at]
    # A first voxel has the lowest value, which is also that of the places outside of the record.
    assert len(set(found) - {BLANK}) in (math.prod(inside), math.prod(inside) - 1)
    known = zip(values, masks.flatten().tolist(), strict=True)
    assert all(mask_at[value] == label for value, label in known if value != BLANK)
    if foreground == 1.0 and (whole.targets > 0).any():
        assert (masks > 0).any(), "each patch holds a voxel of a label"


@settings(max_examples=20)
@given(patch=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_patches_lie_everywhere(patch: tuple[int, ...]) -> None:
    records = records_of((5, 4), patch=patch)
    seen = {float(records.batch(torch.tensor([0]), seed)[0].min()) for seed in range(200)}
    assert len(seen) == (5 - patch[0] + 1) * (4 - patch[1] + 1)


def test_rare_label_is_drawn_as_often_as_the_others() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :20], mask[60, 60] = 1, 2
    records = SeparateRecords(
        (numbered((64, 64)),), (mask,), torch.ones(1, 2), patch=(8, 8), foreground=1.0
    )
    rare = [bool((records.batch(torch.tensor([0]), seed)[1] == 2).any()) for seed in range(200)]
    assert 70 <= sum(rare) <= 130


def test_few_places_of_a_label_are_remembered() -> None:
    mask = np.ones((200, 200), np.uint8)
    records = SeparateRecords(
        (numbered((200, 200)),), (mask,), torch.ones(1, 2), patch=(8, 8), foreground=1.0
    )
    records.batch(torch.tensor([0]), 0)
    ((places,),) = records._places.values()
    assert len(places) <= PLACES and places.base is None


def test_records_of_other_channels_are_refused_before_training() -> None:
    grey, colour = numbered((8, 8)), np.zeros((3, 8, 8), np.float32)
    masks = (np.ones((8, 8), np.uint8),) * 3
    ones = torch.ones(3, 2, dtype=torch.float64)
    odd = SeparateRecords((grey, colour, grey), masks, ones, patch=(4, 4))
    good = SeparateRecords((grey, grey, grey), masks, ones, patch=(4, 4))
    check_vendor_data(VendorData(good, good, good), "a", TASK, 2, allow_one_class=False)
    with pytest.raises(DataError, match=r"of shape \(3, 8, 8\)"):
        check_vendor_data(VendorData(odd, good, good), "a", TASK, 2, allow_one_class=False)


def test_batches_follow_from_their_seeds_alone() -> None:
    records = records_of((9, 8), (7, 12), (30, 5), patch=(4, 4), foreground=0.5)
    asked = [(torch.tensor([seed % 3, 1]), seed) for seed in range(12)]
    read = list(records.batches(iter(asked)))
    for (rows, seed), (images, masks) in zip(asked, read, strict=True):
        again = records.batch(rows, seed)
        assert torch.equal(images, again[0]) and torch.equal(masks, again[1])
    assert len({float(images.sum()) for images, _ in read}) > 6, "other seeds, other patches"


def test_error_of_the_reading_thread_reaches_the_training() -> None:
    records = records_of((9, 8), patch=(4, 4))
    with pytest.raises(IndexError):
        list(records.batches(iter([(torch.tensor([5]), 0)])))


def test_whole_cases_come_in_their_order_and_size() -> None:
    records = records_of((9, 8), (9, 8), (7, 12), (9, 8), patch=(4, 4))
    found = list(records.whole())
    assert [tuple(cases.images.shape) for cases in found] == [
        (2, 1, 9, 8), (1, 1, 7, 12), (1, 1, 9, 8),
    ]  # fmt: skip
    torch.testing.assert_close(found[1].images[0], as_inputs(torch.tensor(records.images[2])))
    assert sum(len(cases.spacing) for cases in found) == len(records) == 4


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))


@pytest.mark.parametrize("join_them", [False, True])
def test_whole_records_train_as_those_in_memory(join_them: bool) -> None:
    separate: Records = records_of(*[(8, 8)] * 5)
    in_memory = stacked(records_of(*[(8, 8)] * 5))
    if join_them:
        separate = join([separate, in_memory.at(torch.tensor([1, 0]))])
        assert isinstance(separate, JoinedRecords)
        in_memory = Split(
            *(torch.cat([of, of[[1, 0]]]) for of in (in_memory.images, in_memory.targets))
        )
    results = []
    for data in (separate, in_memory):
        one = network()
        loss = train(one, data, Work(0.1, 3), TRAINING, 5, CPU, loss=TASK.loss)
        results.append((loss, evaluate(one, data, TASK, CPU).metrics, one.state_dict()))
    assert results[0][:2] == results[1][:2]
    for name, weights in results[0][2].items():
        assert torch.equal(weights, results[1][2][name])


def test_interrupted_training_on_patches_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    records = records_of(*[(9, 12)] * 5, patch=(4, 8), foreground=0.5)

    def trained(work: Work, checkpoint: Checkpoint | None) -> nn.Module:
        one = network()
        train(one, records, work, TRAINING, 5, CPU, checkpoint=checkpoint, loss=TASK.loss)
        return one

    whole = trained(Work(0.1, 4), None)
    checkpoint = Checkpoint(tmp_path / "checkpoint", "the work", seconds=0)
    trained(Work(0.1, 2), checkpoint)
    kept = checkpoint.load(CPU)
    assert kept is not None and kept["steps"] == 2 * 2
    resumed = trained(Work(0.1, 4), checkpoint)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_joined_records_are_those_of_their_parts_in_any_order() -> None:
    parts = [records_of((6, 6), (7, 9), patch=(4, 4)), records_of((8, 5), patch=(4, 4))]
    every = join(parts)
    assert len(every) == 3 and every.patch == (4, 4)
    images, _ = every.batch(torch.tensor([2, 0, 1]), 3)
    # Each part has a seed of its own: patches of several vendors do not lie alike.
    assert torch.equal(images[0], parts[1].batch(torch.tensor([0]), derive_seed(3, 2))[0][0])
    assert torch.equal(images[1:], parts[0].batch(torch.tensor([0, 1]), derive_seed(3, 0))[0])
    sizes = [tuple(cases.images.shape[2:]) for cases in every.at(torch.tensor([2, 0])).whole()]
    assert sizes == [(8, 5), (6, 6)]
