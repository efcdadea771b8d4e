"""What is protected is packed whole, and copies of an image are moved images."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clients.privacy.training.augmentation import augment
from clients.privacy.training.units import make_units


@given(
    groups=st.lists(st.integers(0, 4), min_size=1, max_size=20),
    most=st.integers(1, 8),
    copies=st.integers(1, 3),
)
def test_every_unit_is_in_one_pack_and_packs_are_small(
    groups: list[int], most: int, copies: int
) -> None:
    units = make_units(len(groups), torch.tensor(groups), copies)
    packs = list(units.packs(range(len(units)), most))
    assert [unit for pack in packs for unit in pack] == list(range(len(units)))
    for pack in packs:
        assert len(pack) == 1 or sum(len(units.views(unit)) for unit in pack) <= most
    shown = torch.cat([units.views(unit) for unit in range(len(units))])
    assert torch.bincount(shown).tolist() == [copies] * len(groups)


def test_each_record_is_a_unit_unless_patients_are_named() -> None:
    assert len(make_units(5)) == 5 and make_units(5).single
    patients = make_units(5, torch.tensor([7, 3, 7, 3, 3]))
    assert [patients.views(i).tolist() for i in range(2)] == [[1, 3, 4], [0, 2]]
    assert not patients.single and not make_units(5, copies=2).single
    assert list(patients.packs([], 4)) == []
    with pytest.raises(ValueError, match="each of 5 records"):
        make_units(5, torch.tensor([1, 2]))


@pytest.mark.parametrize("shape", [(1, 32, 32), (2, 16, 32), (1, 16, 16, 16)])
def test_copies_are_flipped_and_shifted_with_their_masks(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    image = torch.randn(1, *shape).expand(40, *shape)
    moved, masks = augment(image, image[:, 0])
    assert torch.equal(moved[:, 0], masks)
    assert len({tuple(each.flatten().tolist()) for each in moved}) > 5
    inner = tuple(slice(side // 2, side // 2 + 1) for side in shape[1:])
    near = tuple(slice(side // 2 - 3, side // 2 + 4) for side in shape[1:])
    for each in moved:
        centre = each[0][inner].item()
        assert (image[0, 0][near] == centre).any(), "no further than 1/16 of the side"
    flipped = sum(torch.equal(each, image[0].flip(-1)) for each in moved)
    assert flipped < 40


def test_labels_stay_as_they_are() -> None:
    labels = torch.arange(4)
    assert augment(torch.randn(4, 1, 16, 16), labels)[1] is labels


def test_constant_image_stays_constant() -> None:
    moved, _ = augment(torch.ones(3, 1, 16, 16), torch.arange(3))
    assert torch.equal(moved, torch.ones(3, 1, 16, 16))
