"""Check ``[data.prepare]`` and ``[data.augment]`` of a federation file against its other tables."""

from __future__ import annotations

from collections.abc import Iterator

from clients.settings import FileData
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.places import short


def preparation_problems(federation: Federation) -> list[str]:
    """Return one line for each contradiction of the preparation or the augmentation."""
    return [
        *_dimensions(federation),
        *_two_sizes(federation),
        *_flipped_axes(federation),
        *_private_augmentation(federation),
    ]


def _dimensions(federation: Federation) -> Iterator[str]:
    dims = federation.task.spatial_dims
    if not isinstance(federation.data, FileData):
        return
    prepare = federation.data.prepare
    for name, numbers in (("spacing", prepare.spacing), ("size", prepare.size)):
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
