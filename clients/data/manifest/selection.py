"""Choose among the DICOM images of a folder by their headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import numpy as np

from clients.data.manifest.finding import Item
from clients.data.manifest.pairing import LeftOut
from clients.imaging.geometry import Plane
from clients.imaging.header import SeriesHeader
from clients.imaging.select_settings import PlaneName, SelectSettings

NOT_SELECTED = "not selected"
_PLANES: tuple[PlaneName, ...] = ("sagittal", "coronal", "axial")
"""By the axis of the patient to which the slices' normal is nearest."""


def selected(
    items: Iterable[Item], settings: SelectSettings, own: Sequence[str]
) -> tuple[list[Item], list[LeftOut]]:
    """Return the items that the settings choose, and the others.

    ``own`` are the site's own patterns of descriptions, one of which must fit besides.  Items that
    are no DICOM say nothing of themselves, and are kept.
    """
    kept, left_out = [], []
    for item in items:
        header = item.header
        if header is None or (_fits(header, settings) and _is_called(header, own)):
            kept.append(item)
        else:
            left_out.append(LeftOut(item.path, NOT_SELECTED))
    return kept, left_out


def plane_name(plane: Plane) -> PlaneName:
    """Return the plane of the patient that is nearest to an image's."""
    normal = np.cross(plane.orientation[:3], plane.orientation[3:])
    return _PLANES[int(np.abs(normal).argmax())]


def _fits(header: SeriesHeader, settings: SelectSettings) -> bool:
    if settings.modality and header.modality not in settings.modality:
        return False
    if settings.plane and (header.plane is None or plane_name(header.plane) not in settings.plane):
        return False
    words = {word.upper() for word in header.image_type}
    if not {word.upper() for word in settings.image_type} <= words:
        return False
    if settings.thickness is not None:
        least, greatest = settings.thickness
        if header.thickness is None or not least <= header.thickness <= greatest:
            return False
    return _is_called(header, settings.description)


def _is_called(header: SeriesHeader, patterns: Sequence[str]) -> bool:
    name = header.description.casefold()
    return not patterns or any(fnmatchcase(name, pattern.casefold()) for pattern in patterns)
