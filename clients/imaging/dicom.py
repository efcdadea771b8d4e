"""Read one DICOM file with one image of two dimensions, by pydicom.

Of the header only the tags that describe pixels are read, and no text of pydicom leaves this
package: both may hold a patient's data.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clients.imaging.meaning import is_in_hounsfield_units, real_values
from clients.imaging.quiet import quiet
from clients.imaging.volume import Kind
from strategies.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset


EXTRA: Final = "pip install 'srflm-flower[imaging]'"
SUFFIXES: Final = frozenset({".dcm", ".dicom", ".ima"})
_PREAMBLE, _MAGIC = 128, b"DICM"
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")  # pydicom makes all RGB
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_MANY_FRAMES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_TAGS = [
    *("Modality", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept", "RescaleType"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *_MANY_FRAMES,
    *_PIXELS,
]


class DicomImage(NamedTuple):
    """An upright image: ``stored`` and ``values`` have the shape (channels, height, width).

    ``stored`` are the numbers in the file, ``values`` what they mean: float32 HU in CT, for
    example, or uint8. ``rescale`` is (slope, intercept), None without either.
    """

    stored: NDArray[np.generic]
    values: NDArray[np.generic]
    kind: Kind
    rescale: tuple[float, float] | None


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM by its suffix, or by its first bytes."""
    return path.suffix.lower() in SUFFIXES or _has_magic(path)


def read_dicom(path: Path) -> DicomImage:
    """Return the image in a DICOM file; see :func:`clients.imaging.meaning.real_values`.

    Raises :class:`DataError` if pydicom is missing, for a file that is damaged, is not DICOM or
    has no pixels, for several frames, a palette, CT without HU, and for pixels that nothing
    installed decodes. The error quotes nothing of the file.
    """
    if not _has_magic(path):
        raise _unreadable(
            f"{path} is no DICOM file: DICM does not follow its first {_PREAMBLE} bytes",
            "a DICOM file with a preamble",
            "remove the file, or export it again",
        )
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise _unreadable(
            f"{path} is a DICOM file, and pydicom is not installed",
            "the extra imaging",
            EXTRA,
        ) from None
    with quiet():
        try:
            return _read(path)
        except DataError:
            raise
        except Exception as error:  # pydicom and each decoder have exceptions of their own
            kind = type(error).__name__
    # Raised here: a traceback would show the exception from which it comes, and its text.
    raise _unreadable(
        f"{path} cannot be decoded ({kind})",
        "a whole DICOM file, in a form that the extra imaging decodes",
        "copy it again; if that does not help, export it without compression",
    )


def _has_magic(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_PREAMBLE + len(_MAGIC))[_PREAMBLE:] == _MAGIC


def _read(path: Path) -> DicomImage:
    from pydicom import dcmread
    from pydicom.pixels import pixel_array

    dataset = dcmread(path, specific_tags=[*_TAGS])
    _check_content(dataset, path)
    _check_transfer_syntax(dataset, path)
    _check_length(dataset, path)
    stored = pixel_array(dataset)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    rescale = None
    if slope is not None or intercept is not None:
        rescale = (
            1.0 if slope is None else float(slope),
            0.0 if intercept is None else float(intercept),
        )
    if stored.ndim == 3:
        colours = np.moveaxis(stored, -1, 0)
        return DicomImage(colours, colours, "picture", rescale)
    kind: Kind = "hounsfield" if dataset.get("Modality") == "CT" else "numbers"
    return DicomImage(stored[None], real_values(stored, dataset)[None], kind, rescale)


def _check_content(dataset: Dataset, path: Path) -> None:
    """Refuse what is no single grey or RGB image."""
    if not any(name in dataset for name in _PIXELS):
        raise _unreadable(
            f"{path} has no pixel data, or is truncated before their end",
            "a DICOM image; reports, plans, and outlines are none",
            "remove the file, or copy it again",
        )
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1 or any(name in dataset for name in _MANY_FRAMES):
        raise _unreadable(
            f"{path} has {frames} frame(s) in a multi-frame form, which is not read yet",
            "a file with one image",
            "export the series as single images, one a file",
        )
    colours = dataset.PhotometricInterpretation
    samples = int(dataset.SamplesPerPixel)
    if (samples, colours in _GREY) != (1, True) and (samples, colours in _COLOUR) != (3, True):
        palette = "a palette" if colours == "PALETTE COLOR" else f"{samples} values a pixel"
        raise _unreadable(
            f"{path} has colours of another kind ({palette})",
            "a grey or an RGB image",
            "export it as grey or RGB",
        )
    if samples == 1 and dataset.get("Modality") == "CT" and not is_in_hounsfield_units(dataset):
        raise _unreadable(
            f"{path} is a CT image that does not say how its numbers become Hounsfield units",
            "RescaleSlope and RescaleIntercept to HU",
            "remove screenshots and maps of other quantities, or export the original images",
        )


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
        raise _unreadable(
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
        raise _unreadable(
            f"{path} is truncated: it has {found} bytes of pixels",
            f"{expected} bytes of pixels",
            "export or copy it again",
        )


def _unreadable(found: str, expected: str, mend: str) -> DataError:
    return DataError(found, expected, mend, DataError.UNREADABLE)
