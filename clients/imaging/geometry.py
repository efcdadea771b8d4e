"""Where images lie in the patient, and whether several of them are one volume; by highdicom.

Source: DICOM PS3.3, C.7.6.2.1.1; places are in mm, left, posterior, superior (LPS).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clients.imaging.orientation import LPS_TO_RAS, is_degenerate
from clients.imaging.refusal import unreadable

if TYPE_CHECKING:
    from pydicom import Dataset

_SAME_MM = 1e-3
"""Slices nearer than this are at one position."""
_SAME_DIRECTION = 1e-4  # of a cosine
_EVEN = 0.01
"""By how much of the spacing distances may differ; highdicom's own tolerance."""
_SHIFTED = 0.5
"""By how much of a pixel the last slice may lie beside the first one's normal."""


class Plane(NamedTuple):
    """The place of one image: of its first pixel (mm), and the cosines of its rows and columns.

    ``spacing`` is from row to row, and from column to column, in mm; ``apart`` what the header says
    of the distance to the next slice, 1 if nothing. ``size`` is (rows, columns). ``frame`` is the
    UID of the frame of reference.
    """

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    size: tuple[int, int]
    frame: str = ""
    apart: float = 1.0


def plane_of(dataset: Dataset) -> Plane | None:
    """Return where an image lies in the patient; None if the header does not say it in numbers."""
    lengths = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
    try:
        position, orientation, spacing = (_numbers(dataset, *each) for each in lengths.items())
        size = int(dataset.Rows), int(dataset.Columns)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None
    plane = Plane(position, orientation, spacing, size, _frame(dataset), _apart(dataset))
    return None if is_degenerate(affine_of_slice(plane)) else plane


def affine_of_slice(plane: Plane) -> NDArray[np.float64]:
    """Return the affine (4, 4) from (row, column, 0) to mm in RAS."""
    along, down = np.array(plane.orientation[:3]), np.array(plane.orientation[3:])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = down * plane.spacing[0], along * plane.spacing[1]
    affine[:3, 2] = np.cross(along, down) * plane.apart
    affine[:3, 3] = plane.position
    return LPS_TO_RAS @ affine


def stacked(planes: Sequence[Plane | None], where: str) -> tuple[list[int], NDArray[np.float64]]:
    """Return the order in which slices lie, and the affine from (slice, row, column) to mm in RAS.

    The order is by the position along the normal of the slices alone. ``where`` names the series in
    errors. Raises :class:`DataError`, by the first that applies: a slice has no place or no frame
    of reference; sizes, frames of reference, orientations, or sizes of pixels differ; two slices
    are at one position; the slices are shifted sideways (a tilted gantry); one is missing; they are
    uneven.
    """
    from highdicom import VolumeGeometry
    from highdicom.spatial import get_volume_positions

    known = _check_alike(planes, where)
    first = known[0]
    # Tilts are judged below, by pixels: an angle alone says little of a thin or of a tall volume.
    found, places = get_volume_positions(
        [plane.position for plane in known], first.orientation, rtol=_EVEN, perpendicular_tol=0.5
    )
    _check_regular(known, found is not None, where)
    assert found is not None and places is not None
    order = [places.index(place) for place in range(len(places))]
    geometry = VolumeGeometry.from_attributes(
        image_position=known[order[0]].position,
        image_orientation=first.orientation,
        rows=first.size[0],
        columns=first.size[1],
        pixel_spacing=first.spacing,
        spacing_between_slices=found if len(known) > 1 else first.apart,
        number_of_frames=len(known),
        coordinate_system="PATIENT",
    )
    return order, LPS_TO_RAS @ np.asarray(geometry.affine, np.float64)


def _check_alike(planes: Sequence[Plane | None], where: str) -> list[Plane]:
    known = [plane for plane in planes if plane is not None]
    if len(known) < len(planes):
        raise unreadable(
            f"{where} has {len(planes) - len(known)} slice(s) without a place in the patient",
            "position, orientation, and size of pixels of every slice",
            "read the slices one by one, as images of two dimensions",
        )
    if not all(plane.frame for plane in known):
        raise unreadable(
            f"{where} has no frame of reference, so that its slices are no volume",
            "one frame of reference",
            "read the slices one by one, as images of two dimensions",
        )
    first = known[0]
    split = "divide the series, so that each part is one volume, or take it out"
    if len({plane.size for plane in known}) > 1:
        raise unreadable(f"{where} has slices of several sizes", "slices of one size", split)
    if len({plane.frame for plane in known}) > 1:
        found = f"{where} has several frames of reference"
        raise unreadable(found, "one frame of reference", split)
    if not _close([plane.orientation for plane in known], _SAME_DIRECTION):
        raise unreadable(f"{where} has slices in several orientations", "one orientation", split)
    if not _close([plane.spacing for plane in known], _SAME_DIRECTION * max(first.spacing)):
        raise unreadable(f"{where} has pixels of several sizes", "pixels of one size in mm", split)
    return known


def _check_regular(planes: Sequence[Plane], is_regular: bool, where: str) -> None:
    """Say why slices are no volume of equal steps."""
    if len(planes) < 2:
        return
    along, down = np.array(planes[0].orientation[:3]), np.array(planes[0].orientation[3:])
    positions = np.array([plane.position for plane in planes])
    normal = np.cross(along, down) / np.linalg.norm(np.cross(along, down))
    heights = positions @ normal
    order = np.argsort(heights, kind="stable")
    steps = np.diff(heights[order])
    same = int((steps < _SAME_MM).sum())
    if same:
        raise unreadable(
            f"{where} has slices at one position, {same} time(s)",
            "one slice a position",
            "divide the series by echo, phase, or time, so that each part is one volume",
        )
    aside = positions - positions[order[0]]
    aside -= np.outer(heights - heights[order[0]], normal)
    beside = float(np.linalg.norm(aside, axis=1).max())
    if beside > _SHIFTED * min(planes[0].spacing):
        raise unreadable(
            f"{where} has slices shifted sideways by up to {beside:.3g} mm: a tilted gantry",
            "slices straight above one another",
            "have the scanner's software correct the tilt, or take the series out",
        )
    usual = float(np.median(steps))
    multiples = np.rint(steps / usual)
    gaps = int((multiples - 1).sum())
    if gaps and (np.abs(steps - multiples * usual) <= _EVEN * usual).all():
        raise unreadable(
            f"{where} lacks {gaps} slice(s): they are {usual:.4g} mm apart, but"
            f" {steps.max():.4g} mm at a gap",
            "all slices of the series",
            "export the series again, as a whole",
        )
    if not is_regular or (np.abs(steps - steps.mean()) > _EVEN * steps.mean()).any():
        raise unreadable(
            f"{where} has slices that are {steps.min():.4g} to {steps.max():.4g} mm apart",
            "slices at equal distances",
            "reconstruct the series with one distance, or take it out",
        )


def _close(rows: Sequence[tuple[float, ...]], tolerance: float) -> bool:
    array = np.array(rows)
    return bool((np.abs(array - array[0]) <= tolerance).all())


def _numbers(dataset: Dataset, name: str, length: int) -> tuple[float, ...]:
    numbers = tuple(float(each) for each in dataset[name].value)
    if len(numbers) != length or not np.isfinite(numbers).all():
        raise ValueError
    return numbers


def _frame(dataset: Dataset) -> str:
    return str(dataset.get("FrameOfReferenceUID") or "").strip()


def _apart(dataset: Dataset) -> float:
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        try:
            size: Any = abs(float(dataset.get(name) or 0))
        except (TypeError, ValueError):
            continue
        if 0 < size < np.inf:
            return float(size)
    return 1.0
