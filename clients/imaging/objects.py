"""Say of a file which DICOM object it is: kind and number, nothing of what is in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from clients.imaging.decoding import has_magic
from clients.imaging.quiet import quiet
from clients.imaging.refusal import without_extra

SEGMENTATIONS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
"""The kinds of object that are DICOM SEG: of bits or fractions, and of labels."""


@dataclass(frozen=True)
class DicomObject:
    """``kind`` is its SOP class, ``instance`` its own number, which may lead to a patient.

    ``stated`` is the class that stands before the object, in the file's own header.
    """

    kind: str
    instance: str = field(repr=False)
    stated: str

    @property
    def is_segmentation(self) -> bool:
        """Return whether it is DICOM SEG, and its file says so too."""
        return self.kind in SEGMENTATIONS and self.stated == self.kind


def check_reader(folder: Path) -> None:
    """Raise :class:`strategies.errors.DataError`, which names the extra, if pydicom is missing."""
    if find_spec("pydicom") is None:
        raise without_extra(folder, "a folder of DICOM", "pydicom")


def object_in(path: Path) -> DicomObject | None:
    """Return which object is in a file, None if there is none that can be read.

    Needs pydicom; raises nothing for whatever is in the file, but OSError if it cannot be opened.
    """
    from pydicom import dcmread

    if not has_magic(path):
        return None
    try:
        with quiet():
            dataset = dcmread(
                path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"]
            )
            kind, instance = dataset.get("SOPClassUID"), dataset.get("SOPInstanceUID")
            stated = dataset.file_meta.get("MediaStorageSOPClassUID")
    except Exception:  # pydicom has exceptions of its own, and their texts quote the file
        return None
    return DicomObject(str(kind), str(instance), str(stated)) if kind and instance else None
