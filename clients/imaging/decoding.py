"""Open a DICOM file by pydicom: the tags that describe pixels, and the pixels decoded.

Of the header only these tags are read, and no text of pydicom leaves this package: both may hold a
patient's data.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from numpy.typing import NDArray

from clients.imaging.quiet import quiet
from clients.imaging.refusal import EXTRA, unreadable, without_extra
from strategies.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES: Final = frozenset({".dcm", ".dicom", ".ima"})
MANY_FRAMES: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
GEOMETRY: Final = (
    *("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SliceThickness", "SpacingBetweenSlices"),
)
_PREAMBLE, _MAGIC = 128, b"DICM"
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")  # pydicom makes all RGB
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_TAGS = [
    *("Modality", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept", "RescaleType"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *GEOMETRY,
    *MANY_FRAMES,
    *_PIXELS,
]
T = TypeVar("T")


class Opened(NamedTuple):
    """The header's elements about pixels, and these, decoded: ([frames,] height, width[, 3])."""

    header: Dataset
    pixels: NDArray[Any]


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM by its suffix, or by its first bytes."""
    return path.suffix.lower() in SUFFIXES or has_magic(path)


def has_magic(path: Path) -> bool:
    """Return whether a file has the first bytes of a DICOM file."""
    with path.open("rb") as file:
        return file.read(_PREAMBLE + len(_MAGIC))[_PREAMBLE:] == _MAGIC


def guarded(path: Path, read: Callable[[], T]) -> T:
    """Return what ``read`` returns of a DICOM file; whatever it raises quotes nothing of the file.

    Raises :class:`DataError` if pydicom is missing, and for a file that is damaged or no DICOM.
    """
    if not has_magic(path):
        raise unreadable(
            f"{path} is no DICOM file: DICM does not follow its first {_PREAMBLE} bytes",
            "a DICOM file with a preamble",
            "remove the file, or export it again",
        )
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise without_extra(path, "a DICOM file", "pydicom") from None
    with quiet():
        try:
            return read()
        except DataError:
            raise
        except Exception as error:  # pydicom and each decoder have exceptions of their own
            kind = type(error).__name__
    # Raised here: a traceback would show the exception from which it comes, and its text.
    raise unreadable(
        f"{path} cannot be decoded ({kind})",
        "a whole DICOM file, in a form that the extra imaging decodes",
        "copy it again; if that does not help, export it without compression",
    )


def header_of(path: Path) -> Dataset:
    """Return the elements about pixels, with the pixels not decoded yet; call it guarded.

    Raises :class:`DataError` if there are no pixels, or colours in a palette.
    """
    from pydicom import dcmread

    dataset = dcmread(path, specific_tags=[*_TAGS])
    if not any(name in dataset for name in _PIXELS):
        raise unreadable(
            f"{path} has no pixel data, or is truncated before their end",
            "a DICOM image; reports, plans, and outlines are none",
            "remove the file, or copy it again",
        )
    colours = dataset.PhotometricInterpretation
    samples = int(dataset.SamplesPerPixel)
    if (samples, colours in _GREY) != (1, True) and (samples, colours in _COLOUR) != (3, True):
        palette = "a palette" if colours == "PALETTE COLOR" else f"{samples} values a pixel"
        raise unreadable(
            f"{path} has colours of another kind ({palette})",
            "a grey or an RGB image",
            "export it as grey or RGB",
        )
    return dataset


def pixels_of(dataset: Dataset, path: Path) -> NDArray[Any]:
    """Return the pixels, decoded; call it guarded.

    Raises :class:`DataError` for a form that nothing installed decodes, and for too few pixels.
    """
    from pydicom.pixels import pixel_array

    _check_transfer_syntax(dataset, path)
    _check_length(dataset, path)
    return pixel_array(dataset)


def frames_of(dataset: Dataset) -> int:
    """Return the number of frames, at least 1."""
    return int(dataset.get("NumberOfFrames") or 1)


def _check_transfer_syntax(dataset: Dataset, path: Path) -> None:
    """Refuse a form of compression that no installed package decodes."""
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    # Only a name from the standard's list: the number in the file may be anything.
    name = syntax.name if syntax.is_transfer_syntax and syntax.name != syntax else "no known form"
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise unreadable(
            f"{path} is compressed as {name}, which nothing installed here decodes",
            "pixels without compression, or in a form that the extra imaging decodes",
            f"{EXTRA}; if that does not help, export the image without compression",
        )


def _check_length(dataset: Dataset, path: Path) -> None:
    from pydicom.pixels.utils import get_expected_length

    if dataset.file_meta.TransferSyntaxUID.is_compressed or "PixelData" not in dataset:
        return  # the decoder sees it
    found, expected = len(dataset.PixelData), get_expected_length(dataset)
    if found < expected:
        raise unreadable(
            f"{path} is truncated: it has {found} bytes of pixels",
            f"{expected} bytes of pixels",
            "export or copy it again",
        )
