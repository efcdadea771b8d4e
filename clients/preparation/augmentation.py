"""Random changes of training images, by MONAI: the same for all who begin with the same seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from monai.transforms import (
    Compose,
    RandAdjustContrast,
    RandAffined,
    RandBiasField,
    RandFlipd,
    RandGaussianNoise,
    RandGaussianSmooth,
)

from clients.preparation.augment_settings import GEOMETRIC, AugmentSettings

Augment = Callable[[torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]
"""From images (B, channels, *space), their targets, and a seed to new images and targets."""

_SEEDS = 2**32  # of NumPy's generator, from which MONAI draws


def augmentation(settings: AugmentSettings) -> Augment | None:
    """Return the agreed changes, or None where nothing is changed.

    Images are float32 in [−1, 1] and stay so.  Targets that are masks (B, *space) or images (B,
    channels, *space) move with their image; labels (B,) stay.  All that is drawn follows from the
    seed of the call, so work that is resumed in any step goes on as if it had never stopped.
    """
    if not settings.is_set:
        return None
    # Of this function alone: the random state of another thread's transforms would mix with it.
    transforms = lru_cache(maxsize=2)(partial(_transforms, settings))

    def augment(
        images: torch.Tensor, targets: torch.Tensor, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        space = tuple(images.shape[2:])
        masks = targets.ndim == images.ndim - 1
        has_place = masks or targets.ndim == images.ndim
        move, change = transforms(space, has_place, masks)
        # Nothing is kept from call to call: the state of a checkpoint needs no part of it.
        move.set_random_state(seed % _SEEDS)
        change.set_random_state((seed + 1) % _SEEDS)
        moved = []
        for image, target in zip(images, targets, strict=True):
            case: dict[str, Any] = {"image": image}
            if has_place:
                case["target"] = target[None].float() if masks else target
            if move.transforms:
                case = dict(move(case))
            moved.append((case["image"], case.get("target")))
        found = _stack([image for image, _ in moved])
        if change.transforms:
            found = _stack([_changed(change, image) for image in found])
        if not has_place:
            return found, targets
        places = _stack([target for _, target in moved])
        return found, places[:, 0].round().to(targets.dtype) if masks else places

    return augment


def _changed(change: Compose, image: torch.Tensor) -> torch.Tensor:
    inputs = torch.as_tensor(change((image + 1) / 2))
    return inputs.clamp(0, 1) * 2 - 1


def _stack(each: Sequence[Any]) -> torch.Tensor:
    # Without the notes that MONAI adds to a tensor: they would follow it through the network.
    plain = [one.as_tensor() if hasattr(one, "as_tensor") else one for one in each]
    return torch.stack(plain)


def _transforms(
    settings: AugmentSettings, space: tuple[int, ...], has_place: bool, masks: bool
) -> tuple[Compose, Compose]:
    """Return the changes of place, for image and target, and those of values."""
    keys = ("image", "target") if has_place else ("image",)
    modes = ("bilinear", "nearest" if masks else "bilinear")[: len(keys)]
    move: list[Any] = [
        RandFlipd(keys, prob=settings.flip_probability, spatial_axis=axis)
        for axis in settings.flip or ()
    ]
    if any(getattr(settings, name) is not None for name in GEOMETRIC):
        angle, size = math.radians(settings.rotation or 0), settings.scale or 0
        move.append(
            RandAffined(
                keys,
                prob=settings.affine_probability,
                rotate_range=(angle,) * (1 if len(space) == 2 else 3),
                scale_range=(size,) * len(space),
                translate_range=tuple((settings.shift or 0) * side for side in space),
                mode=modes,
                padding_mode="border",
            )
        )
    return Compose(move), Compose(_changes_of_values(settings))


def _changes_of_values(settings: AugmentSettings) -> list[Any]:
    change: list[Any] = []
    if settings.bias_field is not None:
        reach = (-settings.bias_field, settings.bias_field)
        change.append(RandBiasField(coeff_range=reach, prob=settings.bias_field_probability))
    if settings.gamma is not None:
        change.append(RandAdjustContrast(prob=settings.gamma_probability, gamma=settings.gamma))
    if settings.blur is not None:
        most = (0.0, settings.blur)
        change.append(RandGaussianSmooth(most, most, most, prob=settings.blur_probability))
    if settings.noise is not None:
        change.append(
            RandGaussianNoise(prob=settings.noise_probability, std=settings.noise, sample_std=True)
        )
    return change
