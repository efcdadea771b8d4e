"""Write a restored image as a new DICOM series, derived from that of its source.

Source: DICOM PS3.3, C.7.6.1 (general image), C.12.4 (derivation), C.11.1 (rescale).
"""

from __future__ import annotations

import io
from copy import deepcopy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from clients.imaging.dicom import is_many_frames
from clients.imaging.quiet import quiet
from clients.imaging.refusal import unreadable
from clients.imaging.results.origin import Origin, as_frames
from clients.imaging.results.software import MAKER, MODEL, SERIES_NUMBER, new_uid, software_version

if TYPE_CHECKING:
    from pydicom import Dataset

_LOW, _HIGH = np.iinfo(np.int16).min, np.iinfo(np.int16).max
_OF_OLD_PIXELS: Final = (
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "SmallestImagePixelValue"),
    *("LargestImagePixelValue", "SmallestPixelValueInSeries", "LargestPixelValueInSeries"),
    *("ModalityLUTSequence", "RescaleType", "WindowCenter", "WindowWidth"),
    *("WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence", "PresentationLUTShape"),
    *("PresentationLUTSequence", "IconImageSequence", "PlanarConfiguration", "ICCProfile"),
    *("OriginalAttributesSequence", "DigitalSignaturesSequence", "MACParametersSequence"),
    *("RealWorldValueMappingSequence", "PixelDataProviderURL", "RedPaletteColorLookupTableData"),
)


def image_as_dicom(
    values: NDArray[Any],
    affine: NDArray[np.float64] | None,
    origin: Origin,
    series_uid: str,
) -> list[bytes]:
    """Return a DICOM file for each file of the source, in its order.

    ``values`` (1, *space) are in the unit of the source, as HU; ``affine`` is as it was read.  Each
    file has the patient, study, and place of its source, which it references; the series is
    ``series_uid``, numbers are 16 bits with their rescale.  Raises :class:`DataError` for several
    channels, for a source of many frames in a file, and for values of another geometry or not
    finite.
    """
    if len(values) != 1 or any(is_many_frames(file) for file in origin.files):
        raise unreadable(
            f"{origin.where} has many frames in a file, or colours",
            "one grey image a file, as a restored image is written in DICOM",
            "write NIfTI: --format nifti",
        )
    if not np.isfinite(values).all():
        raise unreadable(
            f"the restored image of {origin.where}, which has values that are no finite numbers",
            "a model that gives numbers",
            "take another model of the run",
        )
    frames = as_frames(values[0], affine, origin)
    is_ct = origin.files[0].get("Modality") == "CT"
    slope, intercept = _rescale(frames, is_ct)
    numbers = np.rint((frames - intercept) / slope).clip(_LOW, _HIGH).astype(np.int16)
    with quiet():
        try:
            return [
                _encoded(file, each, (slope, intercept), is_ct, series_uid)
                for file, each in zip(origin.files, numbers, strict=True)
            ]
        except Exception as error:  # pydicom's texts quote headers
            kind = type(error).__name__
    raise unreadable(
        f"{origin.where} has a header that cannot be written again ({kind})",
        "DICOM images with all that the standard wants of them",
        "export them again, or write NIfTI: --format nifti",
    )


def _rescale(values: NDArray[Any], is_ct: bool) -> tuple[float, float]:
    """Return slope and intercept by which 16 bits hold the values; one slope for the series."""
    low, high = float(values.min()), float(values.max())
    # Scanners write whole HU, and some viewers expect it.
    if is_ct and low >= _LOW and high <= _HIGH:
        return 1.0, 0.0
    # Rounded upwards, as a header holds 16 letters: the numbers are made with what it says.
    slope = float(f"{max(high - low, 1e-6) / (_HIGH - _LOW - 2) * 1.00001:.7e}")
    return slope, float(f"{low - slope * _LOW:.7e}")


def _encoded(
    source: Dataset,
    numbers: NDArray[np.int16],
    rescale: tuple[float, float],
    is_ct: bool,
    series_uid: str,
) -> bytes:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    image = deepcopy(source)
    image.remove_private_tags()  # makers keep scales and maps of the former pixels there
    for name in _OF_OLD_PIXELS:
        if name in image:
            delattr(image, name)
    for element in [each.tag for each in image if each.tag.group in range(0x5000, 0x6100)]:
        del image[element]  # curves and overlays
    now = datetime.now(UTC)
    image.SOPInstanceUID, image.SeriesInstanceUID = new_uid(), series_uid
    image.SeriesNumber, image.SeriesDescription = SERIES_NUMBER, "Restored by SRFLM"
    image.ContentDate, image.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    kind = source.get("ImageType") or []
    image.ImageType = ["DERIVED", "SECONDARY", *list(kind)[2:]]
    image.DerivationDescription = f"{MODEL} {software_version()}"
    image.SourceImageSequence = [_reference(source)]
    image.ContributingEquipmentSequence = [
        *(source.get("ContributingEquipmentSequence") or []),
        _equipment(),
    ]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 1
    image.RescaleSlope, image.RescaleIntercept = (f"{each:.10g}" for each in rescale)
    image.RescaleType = "HU" if is_ct else "US"
    image.PixelData = numbers.astype("<i2").tobytes()
    image["PixelData"].VR = "OW"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content = io.BytesIO()
    image.save_as(content, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return content.getvalue()


def _reference(source: Dataset) -> Dataset:
    from highdicom.sr.coding import CodedConcept
    from pydicom import Dataset as NewDataset
    from pydicom.sr.codedict import codes

    found = NewDataset()
    found.ReferencedSOPClassUID = source.SOPClassUID
    found.ReferencedSOPInstanceUID = source.SOPInstanceUID
    purpose = CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    found.PurposeOfReferenceCodeSequence = [purpose]
    return found


def _equipment() -> Dataset:
    from highdicom.sr.coding import CodedConcept
    from pydicom import Dataset as NewDataset
    from pydicom.sr.codedict import codes

    found = NewDataset()
    found.Manufacturer, found.ManufacturerModelName = MAKER, MODEL
    found.SoftwareVersions = software_version()
    purpose = CodedConcept.from_code(codes.DCM.ProcessingEquipment)
    found.PurposeOfReferenceCodeSequence = [purpose]
    return found
