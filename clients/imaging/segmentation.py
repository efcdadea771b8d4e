"""Read a DICOM segmentation (SEG) as the mask of the image that it references.

Source: DICOM PS3.3, C.8.20 (segmentation), C.7.6.16 (functional groups).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clients.imaging.decoding import MANY_FRAMES, guarded, has_magic, pixels_of
from clients.imaging.frames import frame_headers
from clients.imaging.geometry import Plane, affine_of_slice, plane_of
from clients.imaging.grid import ON_GRID, slot_of
from clients.imaging.index import Series
from clients.imaging.reading import read_volume
from clients.imaging.refusal import unreadable
from clients.imaging.results.software import MODEL
from clients.imaging.volume import Volume
from strategies.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

SEGMENTATIONS: Final = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""The classes of objects: segmentations, and those with a map of labels."""

_ABOUT = ["SOPClassUID", "ManufacturerModelName", "ReferencedSeriesSequence"]
_TAGS = [
    *(*_ABOUT, "SegmentationType", "SegmentSequence", "FrameOfReferenceUID", "PixelData"),
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", *MANY_FRAMES),
]
_SAME_SLICE = 0.05
"""By how much of its distance to the next a slice may lie above another, and be the same."""
_OWN = "PerFrameFunctionalGroupsSequence"


class Links(NamedTuple):
    """The series and the images that a segmentation references; ``own``: this program made it."""

    series: frozenset[str]
    instances: frozenset[str]
    own: bool

    def belongs_to(self, series: str, instance: str) -> bool:
        """Return whether an image of this series and number is among those referenced."""
        if not instance or not self.instances:
            return series in self.series
        return instance in self.instances


def is_segmentation(path: Path) -> bool:
    """Return whether a file is a DICOM segmentation; needs pydicom only if it is DICOM."""
    if not path.is_file() or not has_magic(path):
        return False
    return guarded(path, lambda: str(_read(path, _ABOUT).get("SOPClassUID"))) in SEGMENTATIONS


def links_of(path: Path) -> Links:
    """Return what a segmentation references; raises :class:`DataError` for a damaged file."""
    return guarded(path, lambda: _links(_read(path, _ABOUT)))


def read_target(
    target: Path | Series, source: Path | Series, image: Volume, classes: Sequence[str]
) -> Volume:
    """Return the mask or the image that belongs to the ``image`` read from ``source``.

    Raises :class:`DataError` as :func:`read_segmentation` and
    :func:`clients.imaging.reading.read_volume` do.
    """
    if isinstance(target, Path) and is_segmentation(target):
        return read_segmentation(target, source, image, classes)
    return read_volume(target)


def read_segmentation(
    path: Path, source: Path | Series, image: Volume, classes: Sequence[str]
) -> Volume:
    """Return the labels (1, *space), int32, in the geometry of the ``image`` read from ``source``.

    A segment is the class of its label, whatever the case of its letters; a voxel of none is
    background, the first class.  Of an image of one slice, other slices are left out.  Raises
    :class:`DataError` for a segmentation of another series or frame of reference, off the image's
    voxels, with a label that is no class, with a voxel in two classes, of probabilities, without
    frames, and for an image without a place in the patient.
    """
    first = _first(source)
    series, frame = guarded(first, lambda: _about(first)) if has_magic(first) else ("", "")
    if image.affine is None or not frame:
        raise _elsewhere(path, "for an image without a place in the patient")
    header = guarded(path, lambda: _checked(path))
    if series not in guarded(path, lambda: _links(header)).series:
        raise _elsewhere(path, "of another series")
    if _text(header, "FrameOfReferenceUID") != frame:
        raise _elsewhere(path, "in another frame of reference")
    return guarded(path, lambda: _labels(header, path, image, classes))


def _about(path: Path) -> tuple[str, str]:
    """Return the series and the frame of reference of an image's file, "" if it does not say it."""
    header = _read(path, ["SeriesInstanceUID", "FrameOfReferenceUID"])
    return _text(header, "SeriesInstanceUID"), _text(header, "FrameOfReferenceUID")


def _text(header: Dataset, name: str) -> str:
    return str(header.get(name) or "").strip()


def _first(source: Path | Series) -> Path:
    if isinstance(source, Series):
        return source.headers[0].path
    return source if source.is_file() else min(p for p in source.rglob("*") if p.is_file())


def _read(path: Path, tags: list[str]) -> Dataset:
    from pydicom import dcmread

    return dcmread(path, stop_before_pixels="PixelData" not in tags, specific_tags=[*tags])


def _links(header: Dataset) -> Links:
    series = header.get("ReferencedSeriesSequence") or []
    images = [image for each in series for image in each.get("ReferencedInstanceSequence") or []]
    return Links(
        frozenset(str(each.SeriesInstanceUID) for each in series),
        frozenset(str(each.ReferencedSOPInstanceUID) for each in images),
        _text(header, "ManufacturerModelName") == MODEL,
    )


def _checked(path: Path) -> Dataset:
    header = _read(path, _TAGS)
    if "PixelData" not in header or not header.get("NumberOfFrames"):
        raise unreadable(
            f"the segmentation {path} has no frame",
            "at least one frame, if only an empty one",
            "write it again, or remove it",
        )
    kind = _text(header, "SegmentationType")
    if kind not in ("BINARY", "LABELMAP"):
        raise unreadable(
            f"the segmentation {path} has probabilities, no classes",
            "a segmentation of type BINARY or LABELMAP",
            "write it as one of these, from a threshold that you choose",
        )
    return header


def _labels(header: Dataset, path: Path, image: Volume, classes: Sequence[str]) -> Volume:
    class_of = _classes_of(header, path, classes)
    shape = image.values.shape[1:]
    labels = np.zeros((*shape, 1) if len(shape) == 2 else shape, np.int32)
    affine = image.affine
    assert affine is not None
    for plane, found in _frames(header, path, class_of):
        at = _place(plane, affine, labels.shape, len(shape) == 2, path)
        if at is None:
            continue
        before = labels[at]
        if ((before != 0) & (found != 0) & (before != found)).any():
            raise unreadable(
                f"the segmentation {path} has voxels in two classes",
                "segments that do not overlap",
                "decide to which class they belong, and write it again",
            )
        labels[at] = np.where(found != 0, found, before)
    flat = labels.reshape(1, *shape)
    return Volume(flat, flat, "numbers", affine)


def _frames(
    header: Dataset, path: Path, class_of: Mapping[int, int]
) -> Iterator[tuple[Plane | None, NDArray[Any]]]:
    """Yield each frame's plane, and the label of each of its pixels."""
    planes = [plane_of(each) for each in frame_headers(header, path)]
    shape = (len(planes), int(header.Rows), int(header.Columns))
    pixels = pixels_of(header, path).reshape(shape)
    for at, (plane, stored) in enumerate(zip(planes, pixels, strict=True)):
        if header.SegmentationType == "LABELMAP":
            table = np.zeros(int(stored.max()) + 1, np.int32)
            for number in np.unique(stored):
                table[number] = class_of[int(number)] if number else 0
            yield plane, table[stored]
        else:
            yield plane, np.where(stored != 0, class_of[_segment(header, at)], 0)


def _segment(header: Dataset, frame: int) -> int:
    own = header.get(_OWN) or []
    shared = header.get("SharedFunctionalGroupsSequence") or []
    for group in (*own[frame : frame + 1], *shared):
        for item in group.get("SegmentIdentificationSequence") or []:
            return int(item.ReferencedSegmentNumber)
    raise ValueError  # said by the caller: it cannot be decoded


def _classes_of(header: Dataset, path: Path, classes: Sequence[str]) -> dict[int, int]:
    """Return segment number → class."""
    known = {name.strip().casefold(): label for label, name in enumerate(classes)}
    found = {}
    for segment in header.get("SegmentSequence") or []:
        number, label = int(segment.SegmentNumber), str(segment.SegmentLabel).strip()
        # Number 0 of a map of labels is its background, under whatever name.
        if number == 0:
            continue
        if label.casefold() not in known:
            raise DataError(
                f"the segmentation {path} has a segment {number} that is no class of the task",
                f"segments with the labels {', '.join(classes[1:])}",
                "correct the segment's label, or list its class in task.classes",
                DataError.LABELS_OUTSIDE_CLASSES,
            )
        found[number] = known[label.casefold()]
    return found


def _place(
    plane: Plane | None,
    affine: NDArray[np.float64],
    shape: tuple[int, ...],
    is_slice: bool,
    path: Path,
) -> tuple[NDArray[np.intp], ...] | None:
    """Return the voxels of a frame; None if an image of one slice does not have them."""
    slot = None if plane is None else slot_of(plane, affine)
    if plane is None or slot is None:
        raise _elsewhere(path, "of voxels of another size or direction than its image's")
    height = (np.linalg.inv(affine) @ affine_of_slice(plane)[:, 3])[2]
    if is_slice and abs(height) > _SAME_SLICE:
        return None
    at = slot.voxels(plane.size)
    if slot.off > ON_GRID:
        raise _elsewhere(path, "that lies between the voxels of its image")
    if any(each.min() < 0 or each.max() >= n for each, n in zip(at, shape, strict=True)):
        raise _elsewhere(path, "that reaches beyond its image")
    return at


def _elsewhere(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} is a segmentation {what}",
        "a segmentation of this very image, on its voxels",
        "write it again from its image, or remove it",
        DataError.GEOMETRY,
    )
