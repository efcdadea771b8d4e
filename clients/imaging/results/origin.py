"""The DICOM files from which an image was read: what a result must say of its source."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clients.imaging.decoding import guarded, has_magic
from clients.imaging.frames import planes_of
from clients.imaging.geometry import Plane
from clients.imaging.grid import slot_of
from clients.imaging.index import Series, find_series
from clients.imaging.refusal import unreadable, without_extra
from clients.imaging.series import without_copies
from strategies.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")

MAY_BE_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
"""The elements that DICOM wants of every image, if only without a value (type 2)."""


class Origin(NamedTuple):
    """The headers of the files of one image, without pixels, and the plane of each frame."""

    files: list[Dataset]
    planes: list[Plane | None]
    where: str


def origin_of(source: Path | Series) -> Origin:
    """Return the headers of a DICOM file, of a series, or of the one series in a folder.

    Raises :class:`DataError` for what is no DICOM, without highdicom, and for a file that does not
    say to which study and series it belongs.
    """
    paths, where = _files(source)
    if find_spec("highdicom") is None:  # it writes what is made of the source
        raise without_extra(paths[0], "the source of a result in DICOM", "highdicom")
    files = [guarded(path, lambda path=path: _header(path)) for path in paths]  # type: ignore[misc]
    planes = [
        plane
        for path, file in zip(paths, files, strict=True)
        for plane in guarded(path, lambda path=path, file=file: planes_of(file, path))  # type: ignore[misc]
    ]
    for name in NEEDED:
        if not all(file.get(name) for file in files):
            raise unreadable(
                f"{where} has no {name}",
                "DICOM files of a study and a series",
                "export them again, or write NIfTI: --format nifti",
            )
    return Origin(files, planes, where)


def as_frames(values: NDArray[Any], affine: NDArray[np.float64] | None, origin: Origin) -> Any:
    """Return values (*space), as the image was read, as the source's frames: (n, rows, columns).

    The frames have the order of ``origin.planes``.  Raises :class:`DataError` if the values are
    not of the source's size.
    """
    sizes = [(int(file.Rows), int(file.Columns)) for file in origin.files]
    if values.ndim == 2 and len(origin.planes) == 1 and values.shape == sizes[0]:
        return values[None]
    frames = []
    for plane in origin.planes if affine is not None and values.ndim == 3 else ():
        slot = None if plane is None or affine is None else slot_of(plane, affine)
        if plane is None or slot is None:
            raise _other_size(values, origin)
        at = slot.voxels(plane.size)
        if any(each.min() < 0 or each.max() >= n for each, n in zip(at, values.shape, strict=True)):
            raise _other_size(values, origin)
        frames.append(values[at])
    if not frames:
        raise _other_size(values, origin)
    return np.stack(frames)


def _other_size(values: NDArray[Any], origin: Origin) -> DataError:
    return DataError(
        f"a result of shape {values.shape} for {origin.where}",
        "a result in the geometry of its source",
        "leave --image-size out, or write NIfTI: --format nifti",
        DataError.GEOMETRY,
    )


def _files(source: Path | Series) -> tuple[Sequence[Path], str]:
    if isinstance(source, Path) and source.is_dir():
        source = find_series(source).series[0]  # it was read: there is one
    if isinstance(source, Series):
        return [header.path for header in without_copies(source.headers)], source.where
    if not has_magic(source):
        raise unreadable(
            f"{source} is no DICOM file, so that its result cannot be one",
            "an image in DICOM",
            "write NIfTI: --format nifti",
        )
    return [source], str(source)


def _header(path: Path) -> Dataset:
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True)
    for name in MAY_BE_EMPTY:
        # Exports without names often lack them; a result must have them.
        if name not in header:
            setattr(header, name, None)
    return header
