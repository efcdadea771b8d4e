"""Make of an image, and of the mask or image that belongs to it, what a network sees.

The same function prepares images for training and for `srflm predict`: a model must see images
alike in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clients.imaging.meaning import AIR
from clients.imaging.volume import Volume
from clients.preparation.geometry import (
    Geometry,
    placed,
    plan_geometry,
    resampled,
    turned,
    turned_back,
)
from clients.preparation.intensity import Scale, check_values, scale_of
from clients.preparation.settings import PrepareSettings
from clients.tasks.shared_settings import TargetKind
from strategies.errors import DataError

VERSION: Final = 2
"""Grows when :func:`prepare` gives other numbers or types, so that no cache has the former ones."""

_DIRECTION = 1e-3  # of a voxel's step: headers keep directions as 32-bit numbers
_ORIGIN = 0.1  # of a voxel


@dataclass(frozen=True)
class Prepared:
    """``image`` is float32 (C, *space) in [0, 1].

    ``target`` is integer (*space) for a mask, of the smallest type that holds its labels, float32
    like the image for an image, None for a class.
    ``spacing`` is the size of a voxel in mm, 1 where the source has none; ``geometry`` leads back
    (:func:`undo`).
    """

    image: NDArray[np.float32]
    target: NDArray[Any] | None
    spacing: tuple[float, ...]
    geometry: Geometry


def prepare(
    image: Volume,
    target: Volume | None,
    kind: TargetKind,
    settings: PrepareSettings,
    name: str = "an image",
) -> Prepared:
    """Return an image, and the target that belongs to it, in the agreed geometry and scale.

    The steps are orientation, spacing, values, and size.  Masks take the nearest voxel, images are
    interpolated linearly; a target image gets the scale of its image, not its own.  Padding has
    the value of air: −1024 HU, or the image's lowest value; in masks it is background.  The result
    depends on the arguments alone.  ``name`` is the image's name in errors.

    Raises :class:`DataError` for values that are no image, not finite, or not for the agreed rule;
    for an agreed geometry where the image has none; for a mask or an image that does not fit.
    """
    check_values(image, settings, name)
    geometry = plan_geometry(image, settings, name)
    # What stands for no measurement is far below air; interpolated, it would spoil its neighbours.
    assert not (geometry.resamples and image.kind == "hounsfield") or image.values.min() >= AIR
    values = _moved(image.values, geometry, labels=False)
    scale = scale_of(image, values, settings)
    air = np.full(len(values), AIR) if image.kind == "hounsfield" else _lowest(values)
    fill = scale.inputs(air.reshape(scale.low.shape)).reshape(-1)
    found = placed(scale.inputs(values), geometry.shape, fill)
    moved = _target(image, target, kind, geometry, scale, fill, name)
    inputs = np.ascontiguousarray(found, np.float32)
    return Prepared(inputs, moved, geometry.spacing, geometry)


def undo(found: NDArray[Any], geometry: Geometry, labels: bool) -> NDArray[Any]:
    """Return a result in the geometry of the source, with its shape and its affine.

    ``found`` is a mask (*space) if ``labels``, else an image (C, *space), of the prepared shape.
    What was cut off is 0: background, or air.  Without resampling, all that is left is exact.
    Raises :class:`DataError` for another shape.
    """
    values = found[None] if labels else found
    if tuple(values.shape[1:]) != geometry.shape:
        raise DataError(
            f"a result of shape {tuple(values.shape[1:])}",
            f"the shape of the prepared image, {geometry.shape}",
            "use the geometry of the image from which the result comes",
            DataError.SHAPE,
        )
    values = placed(values, geometry.resampled_shape, np.zeros(len(values)))
    if geometry.resamples:
        ratios = tuple(1 / ratio for ratio in geometry.ratios)
        values = resampled(values, geometry.turned_shape, ratios, labels)
    source = np.ascontiguousarray(turned_back(values, geometry))
    return source[0] if labels else source


def _moved(values: NDArray[Any], geometry: Geometry, labels: bool) -> NDArray[Any]:
    found = turned(values, geometry)
    if not geometry.resamples:
        return found
    return resampled(found, geometry.resampled_shape, geometry.ratios, labels)


def _lowest(values: NDArray[Any]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values.reshape(len(values), -1).min(axis=1).astype(np.float64)
    return found


def _target(
    image: Volume,
    target: Volume | None,
    kind: TargetKind,
    geometry: Geometry,
    scale: Scale,
    fill: NDArray[np.float32],
    name: str,
) -> NDArray[Any] | None:
    if kind == "class":
        return None
    if target is None:
        raise DataError(
            f"{name} without its {kind}",
            f"one {kind} for each image",
            f"add the {kind}, or take out the image",
            DataError.MISSING,
        )
    _check_fits(image, target, kind, name)
    if kind == "image":
        moved = scale.inputs(_moved(target.values, geometry, labels=False))
        return np.ascontiguousarray(placed(moved, geometry.shape, fill))
    labels = _moved(target.values.astype(np.int64), geometry, labels=True)
    found = np.ascontiguousarray(placed(labels, geometry.shape, np.zeros(1, np.int64))[0])
    # An eighth of the room on disk: a mask is read whole or in patches, and becomes int64 then.
    low, high = (int(end) for end in (found.min(), found.max()))
    return found.astype(np.promote_types(np.min_scalar_type(low), np.min_scalar_type(high)))


def _check_fits(image: Volume, target: Volume, kind: TargetKind, name: str) -> None:
    """Refuse a target that does not lie where its image lies, and one with other numbers."""
    channels = 1 if kind == "mask" else len(image.values)
    expected = (channels, *image.values.shape[1:])
    if target.values.shape != expected:
        raise _does_not_fit(f"of shape {target.values.shape}", f"the shape {expected}", kind, name)
    if not _lies_alike(image.affine, target.affine, image.values.ndim - 1):
        raise _does_not_fit("that lies elsewhere", "the geometry of its image", kind, name)
    values = target.values
    if values.dtype.kind not in "buif" or not np.isfinite(values).all():
        raise _does_not_fit("with values that are not finite numbers", "finite numbers", kind, name)
    if kind == "mask" and values.dtype.kind == "f" and (np.rint(values) != values).any():
        raise _does_not_fit(
            "with values that are no whole numbers", "class indices: 0, 1, …", kind, name
        )


def _lies_alike(
    one: NDArray[np.float64] | None, other: NDArray[np.float64] | None, dims: int
) -> bool:
    if one is None or other is None:
        # A slice has rows and columns only; the reader of a volume may have turned its axes.
        return (one is None and other is None) or dims == 2
    size = np.sqrt(np.square(one[:3, :dims]).sum(axis=0))
    apart = np.sqrt(np.square(one - other)[:3].sum(axis=0))
    return bool((apart[:dims] <= _DIRECTION * size).all() and apart[3] <= _ORIGIN * size.min())


def _does_not_fit(found: str, expected: str, kind: TargetKind, name: str) -> DataError:
    noun = "a mask" if kind == "mask" else "a target image"
    return DataError(
        f"{name} has {noun} {found}",
        f"{noun} with {expected}",
        f"write the {kind} again from this very image",
        DataError.GEOMETRY,
    )
