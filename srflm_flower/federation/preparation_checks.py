"""Check ``[data.prepare]`` and ``[data.augment]`` of a federation file against its other tables."""

from __future__ import annotations

from collections.abc import Iterator

from clients.settings import FileData
from clients.tasks.settings import SSIM_SIDE
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.places import short


def preparation_problems(federation: Federation) -> list[str]:
    """Return one line for each contradiction of the preparation or the augmentation."""
    return [
        *_dimensions(federation),
        *_two_sizes(federation),
        *_patches(federation),
        *_flipped_axes(federation),
        *_private_augmentation(federation),
    ]


def _dimensions(federation: Federation) -> Iterator[str]:
    dims = federation.task.spatial_dims
    if not isinstance(federation.data, FileData):
        return
    prepare = federation.data.prepare
    for name in ("spacing", "size", "patch"):
        numbers = getattr(prepare, name)
        if numbers is not None and len(numbers) not in (1, dims):
            yield (
                f"data.prepare.{name}: found {len(numbers)} numbers; expected one, or {dims}, as"
                f" task.spatial-dims is {dims}; correct them"
            )


def _two_sizes(federation: Federation) -> Iterator[str]:
    if not isinstance(federation.data, FileData) or federation.data.image_size is None:
        return
    prepare = federation.data.prepare
    for name in ("spacing", "size"):
        if getattr(prepare, name) is not None:
            yield (
                f"data.image-size: found {federation.data.image_size} beside data.prepare.{name};"
                " expected one of them, as image-size stretches every image, whatever its voxels'"
                f" size in mm; remove image-size, or data.prepare.{name}"
            )


def _patches(federation: Federation) -> Iterator[str]:
    dims, data = federation.task.spatial_dims, federation.data
    patch = data.prepare.patch_of(dims) if isinstance(data, FileData) else None
    if patch is None or len(patch) != dims:
        return
    if federation.task.target == "class":
        yield (
            f"data.prepare.patch: found {short(patch)} for a classification; expected none, as the"
            " class of an image need not be visible in a part of it; remove patch, or set size"
        )
    if federation.task.target == "image" and min(patch) < SSIM_SIDE:
        yield (
            f"data.prepare.patch: found {short(patch)}; expected at least {SSIM_SIDE} pixels a"
            " side, the window of SSIM; enlarge it"
        )
    size = federation.data.prepare.size if isinstance(federation.data, FileData) else None
    sides = (size * dims if len(size) == 1 else size) if size is not None else patch
    if len(sides) == dims and any(one > most for one, most in zip(patch, sides, strict=True)):
        yield (
            f"data.prepare.patch: found {short(patch)} for images of size {short(sides)}; expected"
            " a patch no larger than the images; lower it, or remove data.prepare.size"
        )


def _flipped_axes(federation: Federation) -> Iterator[str]:
    dims, axes = federation.task.spatial_dims, federation.data.augment.flip or ()
    if any(axis >= dims for axis in axes):
        yield (
            f"data.augment.flip: found {short(axes)}; expected axes from 0 to {dims - 1}, as"
            f" task.spatial-dims is {dims}; correct them"
        )


def _private_augmentation(federation: Federation) -> Iterator[str]:
    # A record's gradients are clipped together: private training makes copies of each record.
    if federation.privacy.private and federation.data.augment.is_set:
        yield (
            "data.augment: found a change of images with differential privacy; expected none, as"
            " private training has an augmentation of its own; remove [data.augment], and set"
            " privacy.copies"
        )
