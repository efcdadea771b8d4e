"""Bring an image into the agreed geometry, and a result back into that of its source.

Axes are exchanged and reversed, then resampled around the centre, then cut or padded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import SpatialResample
from numpy.typing import NDArray

from clients.imaging.volume import Volume
from clients.preparation.settings import AXES, PrepareSettings
from strategies.errors import DataError

_SAME = 1e-4  # headers round: two sizes of a voxel whose ratio differs less from 1 are equal
_MOST_VALUES = 2**30  # of one image: a spacing in the wrong unit must not fill the memory


@dataclass(frozen=True)
class Geometry:
    """The way from a source's voxels to a prepared image's, and back.

    All tuples have one entry an axis of space.  ``source_shape`` and ``source_affine`` are as the
    image was read; ``order`` has for each turned axis the source's, and ``reverse`` says which
    turned axes are reversed; ``turned_shape`` is the shape after that.  ``ratios`` are new over old
    sizes of a voxel, which lead to ``resampled_shape``; ``shape`` is the prepared one, and
    ``spacing`` its voxels' size in mm.
    """

    source_shape: tuple[int, ...]
    source_affine: NDArray[np.float64] | None
    order: tuple[int, ...]
    reverse: tuple[bool, ...]
    ratios: tuple[float, ...]
    resampled_shape: tuple[int, ...]
    shape: tuple[int, ...]
    spacing: tuple[float, ...]

    @property
    def turned_shape(self) -> tuple[int, ...]:
        """The shape between turning and resampling."""
        return tuple(self.source_shape[axis] for axis in self.order)

    @property
    def resamples(self) -> bool:
        """Whether values are interpolated at all."""
        return any(ratio != 1 for ratio in self.ratios)


def plan_geometry(image: Volume, settings: PrepareSettings, name: str) -> Geometry:
    """Return the way of ``image`` to the agreed geometry; ``name`` is its name in errors.

    Raises :class:`DataError` for an orientation or a spacing where the image has no affine, for
    as many numbers as the image has not axes, and for an image that would become too large.
    """
    shape = image.values.shape[1:]
    dims = len(shape)
    _check_affine(image, settings, name)
    order, reverse = tuple(range(dims)), (False,) * dims
    if settings.orientation is not None and image.affine is not None:
        order, reverse = turns_to(settings.orientation, image.affine, dims)
    old = tuple(image.spacing[axis] for axis in order)
    turned = tuple(shape[axis] for axis in order)
    new = old if settings.spacing is None else _each(settings.spacing, dims, "spacing", name)
    ratios = tuple(
        1.0 if abs(after / before - 1) < _SAME else after / before
        for before, after in zip(old, new, strict=True)
    )
    resampled = tuple(
        max(1, round(side / ratio)) for side, ratio in zip(turned, ratios, strict=True)
    )
    final = resampled if settings.size is None else _each(settings.size, dims, "size", name)
    if max(math.prod(resampled), math.prod(final)) * len(image.values) > _MOST_VALUES:
        raise DataError(
            f"{name} of shape {shape} with voxels of {_numbers(old)} mm would become {resampled}",
            f"at most {_MOST_VALUES} values",
            "correct [data.prepare] spacing, in mm, or the image's own spacing",
            DataError.SHAPE,
        )
    return Geometry(shape, image.affine, order, reverse, ratios, resampled, final, new)


def turns_to(
    orientation: str, affine: NDArray[np.float64], dims: int
) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return for each new axis the old one, and whether that is reversed.

    ``orientation`` has the three directions to which the axes shall lead.  Each axis of the image
    belongs to the axis of the patient that is nearest to it, all taken together.
    """
    steps = affine[:3, :dims]
    cosines = steps / np.sqrt(np.square(steps).sum(axis=0))
    # Of all ways to assign axes, the best as a whole: an oblique image may have two axes whose
    # nearest is the same.
    patient = max(
        permutations(range(3), dims),
        key=lambda rows: sum(abs(cosines[row, axis]) for axis, row in enumerate(rows)),
    )
    order, reverse = [], []
    for letter in orientation:
        row = next(row for row, ends in enumerate(AXES) if letter in ends)
        if row in patient:
            axis = patient.index(row)
            order.append(axis)
            reverse.append(bool(cosines[row, axis] > 0) != (letter == AXES[row][1]))
    return tuple(order), tuple(reverse)


def turned(values: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """Return values (C, *space) with exchanged and reversed axes, as a view."""
    axes = (0, *(axis + 1 for axis in geometry.order))
    return values.transpose(axes)[_reversal(geometry)]


def turned_back(values: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """Return values (C, *space) in the source's order of axes, as a view."""
    axes = (0, *(int(axis) + 1 for axis in np.argsort(geometry.order)))
    return values[_reversal(geometry)].transpose(axes)


def resampled(
    values: NDArray[Any], shape: Sequence[int], ratios: Sequence[float], labels: bool
) -> NDArray[Any]:
    """Return values (C, *space) on a grid of ``shape`` with the same centre.

    ``ratios`` are the new size of a voxel over the old one, along each axis.  ``labels`` take the
    nearest voxel's value; other values are interpolated linearly, as float32, and those outside of
    the image are its border's.
    """
    dims = values.ndim - 1
    to_source = torch.eye(dims + 1, dtype=torch.float64)
    for axis, (new, old, ratio) in enumerate(zip(shape, values.shape[1:], ratios, strict=True)):
        to_source[axis, axis] = ratio
        to_source[axis, dims] = (old - 1) / 2 - ratio * (new - 1) / 2
    # In units of the image's voxels, where it has the identity as its affine.
    image = MetaTensor(
        torch.from_numpy(np.ascontiguousarray(values, np.float64)),
        affine=torch.eye(dims + 1, dtype=torch.float64),
    )
    resample = SpatialResample(
        mode="nearest" if labels else "bilinear",
        padding_mode="border",
        align_corners=False,
        dtype=np.float64,
    )
    moved = resample(image, dst_affine=to_source, spatial_size=tuple(shape))
    found = np.asarray(moved.as_tensor() if isinstance(moved, MetaTensor) else moved)
    return np.rint(found).astype(values.dtype) if labels else found.astype(np.float32)


def placed(values: NDArray[Any], shape: Sequence[int], fill: NDArray[Any]) -> NDArray[Any]:
    """Return values (C, *space), cut or padded around the centre; ``fill`` (C,) pads.

    Back and forth are inverse to each other: what was padded is cut off again exactly.
    """
    if tuple(values.shape[1:]) == tuple(shape):
        return values
    found = np.empty((len(values), *shape), values.dtype)
    found[:] = fill.reshape((-1,) + (1,) * len(shape))
    into: list[slice] = [slice(None)]
    out_of: list[slice] = [slice(None)]
    for old, new in zip(values.shape[1:], shape, strict=True):
        before, kept = abs(old - new) // 2, min(old, new)
        into.append(slice(before, before + kept) if new > old else slice(kept))
        out_of.append(slice(before, before + kept) if old > new else slice(kept))
    found[tuple(into)] = values[tuple(out_of)]
    return found


def _reversal(geometry: Geometry) -> tuple[slice, ...]:
    return (slice(None), *(slice(None, None, -1 if back else 1) for back in geometry.reverse))


def _check_affine(image: Volume, settings: PrepareSettings, name: str) -> None:
    needing = [each for each in ("orientation", "spacing") if getattr(settings, each) is not None]
    if needing and image.affine is None:
        raise DataError(
            f"{name} does not say where its pixels lie, nor their size, for [data.prepare]"
            f" {' and '.join(needing)}",
            "an image with a geometry: DICOM or NIfTI",
            f"use the original image, or agree on no {' and no '.join(needing)}",
            DataError.GEOMETRY,
        )
    if needing and not all(0 < size < math.inf for size in image.spacing):
        raise DataError(
            f"{name} has voxels of {_numbers(image.spacing)} mm",
            "sizes above 0",
            "export the image again, with its geometry",
            DataError.GEOMETRY,
        )


def _each(numbers: tuple[Any, ...], dims: int, setting: str, name: str) -> tuple[Any, ...]:
    if len(numbers) not in (1, dims):
        raise DataError(
            f"{name} has {dims} spatial dimensions, for {len(numbers)} numbers in [data.prepare]"
            f" {setting}",
            "one number, or one a dimension",
            f"correct {setting}, or convert the image",
            DataError.SHAPE,
        )
    return numbers * dims if len(numbers) == 1 else numbers


def _numbers(numbers: Sequence[float]) -> str:
    return " × ".join(f"{each:g}" for each in numbers)
