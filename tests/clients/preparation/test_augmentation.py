"""Rules of augmentation: reproducible, within [−1, 1], and targets move with their images."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clients.preparation.augment_settings import AugmentSettings
from clients.preparation.augmentation import Augment, augmentation

ALL = AugmentSettings(
    flip=(0, 1),
    rotation=20.0,
    scale=0.1,
    shift=0.1,
    bias_field=0.3,  # type: ignore[arg-type]
    gamma=(0.5, 2.0),
    noise=0.1,
    blur=1.0,  # type: ignore[arg-type]
)
GEOMETRY = AugmentSettings(flip=(0, 1), rotation=30.0, scale=0.2, shift=0.2, affine_probability=1.0)
VALUES = AugmentSettings(
    **{f"{name}_probability": 1.0 for name in ("bias_field", "gamma", "noise", "blur")},  # type: ignore[arg-type]
    bias_field=0.5,
    gamma=(2.0, 2.0),
    noise=0.1,
    blur=1.0,  # type: ignore[arg-type]
)


def made(settings: AugmentSettings) -> Augment:
    found = augmentation(settings)
    assert found is not None
    return found


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_nothing_is_changed_by_default() -> None:
    assert augmentation(AugmentSettings()) is None


@pytest.mark.parametrize("space", [(16, 12), (8, 10, 6)])
@pytest.mark.parametrize("settings", [ALL, GEOMETRY, VALUES], ids=["all", "geometry", "values"])
def test_same_seed_gives_the_same_whatever_came_before(
    settings: AugmentSettings, space: tuple[int, ...]
) -> None:
    batch, labels = images(3, 2, *space), torch.tensor([0, 1, 2])
    one, other = made(settings), made(settings)
    other(batch, labels, 4)
    for seed in (7, 2**63 - 1):
        found, same = one(batch, labels, seed)[0], other(batch, labels, seed)[0]
        assert torch.equal(found, same) and not torch.equal(found, one(batch, labels, 8)[0])
    assert type(found) is torch.Tensor and found.dtype == torch.float32
    assert found.shape == batch.shape and found.min() >= -1 and found.max() <= 1
    assert torch.equal(one(batch, labels, 7)[1], labels)


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    made(ALL)(images(2, 1, 16, 16), torch.zeros(2), 1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("space", [(24, 20), (12, 10, 14)])
def test_masks_and_target_images_move_with_their_images(space: tuple[int, ...]) -> None:
    blocks = torch.zeros(4, 1, *space)
    blocks[:, :, 3:9, 2:7] = 1
    augment = made(GEOMETRY)
    moved, masks = augment(blocks * 2 - 1, blocks[:, 0].long(), 5)
    assert masks.dtype == torch.int64 and masks.shape == (4, *space)
    assert not torch.equal(masks, blocks[:, 0].long())
    sure = moved[:, 0].abs() > 0.999
    assert torch.equal(masks[sure].bool(), moved[:, 0][sure] > 0)
    again, targets = augment(blocks * 2 - 1, 0.5 * blocks, 5)
    assert torch.equal(again, moved)
    torch.testing.assert_close(targets, (moved + 1) / 4)


def test_values_change_in_the_image_alone() -> None:
    batch = images(3, 1, 16, 16)
    found, targets = made(VALUES)(batch, batch.clone(), 3)
    assert torch.equal(targets, batch) and not torch.allclose(found, batch, atol=0.05)


def test_flip_is_exact() -> None:
    batch = images(8, 1, 6, 5)
    found, _ = made(AugmentSettings(flip=(1,), flip_probability=1.0))(batch, torch.zeros(8), 3)
    assert torch.equal(found, batch.flip(-1))


@pytest.mark.parametrize(
    "table",
    [{"noise": 0.1}, {"gamma": (0.5, 0.6)}, {"blur": 2.0}, {"bias_field": 0.5}, {"shift": 0.3}],
    ids=str,
)
def test_probability_is_how_often_images_change(table: dict[str, Any]) -> None:
    name = "affine" if "shift" in table else next(iter(table))
    settings = AugmentSettings.model_validate({**table, f"{name}_probability": 0.25})
    batch = images(1, 1, 12, 12).expand(200, 1, 12, 12)
    found, _ = made(settings)(batch, torch.zeros(200), 3)
    changed = ((found - batch).abs().amax(dim=(1, 2, 3)) > 1e-3).float().mean()
    assert 0.15 < changed < 0.36
