"""The few elements of a DICOM header by which files are put together to series.

Only the elements listed here are ever read; what they say of a patient stays in the objects, and
out of errors and logs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from clients.imaging.decoding import GEOMETRY, frames_of, has_magic
from clients.imaging.geometry import Plane, plane_of
from clients.imaging.quiet import quiet

if TYPE_CHECKING:
    from pydicom import Dataset

Reason = Literal[
    "no DICOM",
    "no pixels",
    "localizer",
    "screenshot",
    "derived",
    "segmentation",
    "burnt-in text",
    "duplicate",
    "unreadable",
]
"""Why a file belongs to no series."""

ALLOWED: Final = (
    *("SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality", "ImageType"),
    *("Manufacturer", "ManufacturerModelName", "MagneticFieldStrength", "ConvolutionKernel"),
    *("SeriesDescription", "BurnedInAnnotation", "PatientID"),
    *("Rows", "Columns", "NumberOfFrames"),
    *GEOMETRY,
)
"""The elements that are read of a header, SliceThickness among the last."""

_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"  # and with more numbers behind: many frames
_DIRECTORY = "1.2.840.10008.1.3.10"
_LOCALIZERS = ("LOCALIZER", "LOCALISER", "SCOUT", "TOPOGRAM", "SURVIEW", "SURVEY")
_SCREENS = ("SCREEN SAVE", "SCREENSHOT", "CSA REPORT", "DOSE_INFO")
_REFORMATS = ("REFORMATTED", "MPR", "MIP", "MINIP", "PROJECTION IMAGE", "CSA MPR")
_RESULTS = ("RTDOSE", "RTIMAGE")


@dataclass(frozen=True)
class SeriesHeader:
    """What the header of one file says, "" or None where it says nothing.

    ``thickness`` is in mm, ``field_strength`` in tesla; ``patient`` is the patient's number as the
    hospital has it, and must leave the site only behind a keyed hash.
    """

    path: Path
    series: str = field(repr=False)
    instance: str = field(default="", repr=False)
    sop_class: str = ""
    modality: str = ""
    image_type: tuple[str, ...] = ()
    manufacturer: str = ""
    model: str = ""
    field_strength: float | None = None
    kernel: str = ""
    description: str = field(default="", repr=False)
    thickness: float | None = None
    burnt_in: str = ""
    patient: str = field(default="", repr=False)
    rows: int = 0
    columns: int = 0
    frames: int = 1
    plane: Plane | None = field(default=None, repr=False)


def read_header(path: Path) -> SeriesHeader | Reason:
    """Return what the header of a file says, or why it is in no series; no pixels are read.

    Needs pydicom; raises nothing for whatever is in the file.
    """
    from pydicom import dcmread

    try:
        if not has_magic(path):
            return "no DICOM"
        with quiet():
            dataset = dcmread(path, stop_before_pixels=True, specific_tags=[*ALLOWED])
            if not dataset.get("Rows") or not dataset.get("Columns"):
                return "no pixels" if _kind(dataset) else "unreadable"
            return _header(dataset, path)
    except Exception:  # pydicom has exceptions of its own, and their texts quote the file
        return "unreadable"


def why_left_out(header: SeriesHeader) -> Reason | None:
    """Return why an image is not one slice, or the volume, that a scanner measured; None: it is."""
    words = {word.upper() for word in header.image_type}
    if header.modality == "SEG":
        return "segmentation"
    if _is_of(header.sop_class, _CAPTURES) or words.intersection(_SCREENS):
        return "screenshot"
    if words.intersection(_LOCALIZERS) or _has_word(header.description, _LOCALIZERS):
        return "localizer"
    if header.burnt_in.upper() == "YES":
        return "burnt-in text"
    # What is only derived may be an original that was filtered, or compressed with losses.
    is_second = "DERIVED" in words and bool(words.intersection(("SECONDARY", *_REFORMATS)))
    if is_second or header.modality in _RESULTS:
        return "derived"
    return None


def _header(dataset: Dataset, path: Path) -> SeriesHeader:
    series = _text(dataset, "SeriesInstanceUID")
    if not series:
        raise ValueError("no series")
    return SeriesHeader(
        path=path,
        series=series,
        instance=_text(dataset, "SOPInstanceUID"),
        sop_class=_text(dataset, "SOPClassUID"),
        modality=_text(dataset, "Modality"),
        image_type=_texts(dataset, "ImageType"),
        manufacturer=_text(dataset, "Manufacturer"),
        model=_text(dataset, "ManufacturerModelName"),
        field_strength=_number(dataset, "MagneticFieldStrength"),
        kernel=" ".join(_texts(dataset, "ConvolutionKernel")),
        description=_text(dataset, "SeriesDescription"),
        thickness=_number(dataset, "SliceThickness"),
        burnt_in=_text(dataset, "BurnedInAnnotation"),
        patient=_text(dataset, "PatientID"),
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        frames=frames_of(dataset),
        plane=plane_of(dataset),
    )


def _kind(dataset: Dataset) -> str:
    """Return what kind of object a file says that it has, "" if nothing: it is cut off then."""
    # A directory of DICOM files says it only here.
    meta = _text(dataset.file_meta, "MediaStorageSOPClassUID")
    return meta if meta == _DIRECTORY else _text(dataset, "SOPClassUID")


def _text(dataset: Dataset, name: str) -> str:
    return str(dataset.get(name) or "").strip()


def _texts(dataset: Dataset, name: str) -> tuple[str, ...]:
    value = dataset.get(name) or ()
    return (str(value).strip(),) if isinstance(value, str) else tuple(str(each) for each in value)


def _number(dataset: Dataset, name: str) -> float | None:
    try:
        return float(dataset.get(name))
    except (TypeError, ValueError):
        return None


def _is_of(uid: str, family: str) -> bool:
    return uid == family or uid.startswith(f"{family}.")


def _has_word(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text.upper() for word in words)
