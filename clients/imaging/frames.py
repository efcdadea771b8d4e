"""Read a DICOM file with many frames: enhanced CT and MR, and converted legacy series.

Source: DICOM PS3.3, C.7.6.16 (functional groups: shared by all frames, or one's own).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clients.imaging.decoding import GEOMETRY, frames_of, guarded, header_of, pixels_of
from clients.imaging.dicom import check_hounsfield, image_of, is_many_frames
from clients.imaging.geometry import Plane, plane_of
from clients.imaging.refusal import unreadable
from clients.imaging.stack import Slice, check_extra, volume_of
from clients.imaging.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset

_OF_ALL = (
    *("Modality", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "ModalityLUTSequence"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType"),
    *GEOMETRY,
)
_GROUPS = (
    *("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"),
    "PixelValueTransformationSequence",
)


def read_file(path: Path) -> Volume:
    """Return what is in one DICOM file: an image of two dimensions, upright, or a volume.

    A volume has the order of axes nearest to RAS. Raises :class:`DataError` as
    :func:`clients.imaging.dicom.read_dicom` and :func:`clients.imaging.stack.volume_of` do, but
    for several frames only if they are no volume.
    """
    return guarded(path, lambda: _read(path))


def _read(path: Path) -> Volume:
    header = header_of(path)
    if not is_many_frames(header):
        return image_of(header, path).volume()
    headers = frame_headers(header, path)
    for each in headers:
        check_hounsfield(each, path)
    planes = [plane_of(each) for each in headers]
    if len(planes) > 1:
        check_extra(path)
    pixels = pixels_of(header, path).reshape(len(headers), *_size(header))
    slices = [Slice(*each) for each in zip(headers, pixels, strict=True)]
    return volume_of(slices, planes, str(path))


def planes_of(header: Dataset, path: Path) -> list[Plane | None]:
    """Return where each frame lies in the patient; call it guarded."""
    frames = frame_headers(header, path) if is_many_frames(header) else [header]
    return [plane_of(each) for each in frames]


def _size(header: Dataset) -> tuple[int, ...]:
    samples = int(header.SamplesPerPixel)
    size = int(header.Rows), int(header.Columns)
    return size if samples == 1 else (*size, samples)


def frame_headers(header: Dataset, path: Path) -> list[Dataset]:
    """Return for each frame a header as that of a single image."""
    count = frames_of(header)
    shared = header.get("SharedFunctionalGroupsSequence") or []
    own = header.get("PerFrameFunctionalGroupsSequence") or [None] * count
    if len(own) != count:
        raise unreadable(
            f"{path} has {count} frames, and describes {len(own)}",
            "a description of every frame",
            "export the series again",
        )
    return [_frame(header, [*shared, *([] if each is None else [each])]) for each in own]


def _frame(header: Dataset, groups: list[Dataset]) -> Dataset:
    from pydicom import Dataset as NewDataset

    frame = NewDataset()
    for name in _OF_ALL:
        if name in header:
            frame[name] = header[name]
    for group in groups:
        for name in _GROUPS:
            for item in group.get(name) or []:
                for element in item:
                    frame[element.tag] = element
    return frame
