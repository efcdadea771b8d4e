"""Put slices together to one volume: in order along their normal, and with one meaning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clients.imaging.geometry import Plane, affine_of_slice, stacked
from clients.imaging.meaning import real_values
from clients.imaging.orientation import turned_to_ras
from clients.imaging.refusal import unreadable, without_extra
from clients.imaging.volume import Kind, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

_MEANING = (
    *("RescaleSlope", "RescaleIntercept", "PhotometricInterpretation", "PixelRepresentation"),
    *("BitsStored", "PixelPaddingValue", "PixelPaddingRangeLimit"),
)


class Slice(NamedTuple):
    """The stored pixels (rows, columns) of one slice, and the elements that say their meaning."""

    header: Dataset
    stored: NDArray[Any]


def check_extra(path: Path) -> None:
    """Refuse volumes of DICOM where the packages for their geometry are missing."""
    for package in ("highdicom", "nibabel"):
        try:
            __import__(package)
        except ImportError:
            raise without_extra(path, "a volume in DICOM", package) from None


def volume_of(slices: Sequence[Slice], planes: Sequence[Plane | None], where: str) -> Volume:
    """Return slices as a volume (1, *space) in the order of axes nearest to RAS.

    One slice alone is an image of two dimensions, upright. Raises :class:`DataError` as
    :func:`clients.imaging.geometry.stacked` does, and for colours.
    """
    headers = [each.header for each in slices]
    kind: Kind = "hounsfield" if headers[0].get("Modality") == "CT" else "numbers"
    if any(int(header.SamplesPerPixel) != 1 for header in headers):
        raise unreadable(
            f"{where} has colours",
            "one number a voxel",
            "read its images one by one, or take the series out",
        )
    if len(slices) == 1:
        values, plane = real_values(slices[0].stored, headers[0]), planes[0]
        affine = None if plane is None else affine_of_slice(plane)
        return Volume(slices[0].stored[None], values[None], kind, affine)
    order, affine = stacked(planes, where)
    ordered = [slices[at] for at in order]
    stored = np.stack([each.stored for each in ordered])
    (stored, values), affine = turned_to_ras((stored, _values(ordered, stored)), affine)
    return Volume(
        np.ascontiguousarray(stored)[None], np.ascontiguousarray(values)[None], kind, affine
    )


def _values(slices: Sequence[Slice], stored: NDArray[Any]) -> NDArray[np.generic]:
    first = slices[0].header
    # At once where it can be: padding then has one value in all slices, the lowest of the volume.
    if all(_meaning(each.header) == _meaning(first) for each in slices):
        return real_values(stored, first)
    return np.stack([real_values(each.stored, each.header) for each in slices])


def _meaning(header: Dataset) -> tuple[object, ...]:
    table = header.get("ModalityLUTSequence")
    # Each table is taken as another one: they are rare.
    return (*(header.get(name) for name in _MEANING), None if table is None else id(header))
