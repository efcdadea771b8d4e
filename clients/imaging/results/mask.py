"""Write a mask as a DICOM segmentation (SEG) of the series in which it was found.

Source: DICOM PS3.3, A.51; by highdicom. Its classes have codes of this program's own scheme.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from clients.imaging.quiet import quiet
from clients.imaging.refusal import unreadable
from clients.imaging.results.origin import Origin, as_frames
from clients.imaging.results.software import MAKER, MODEL, SERIES_NUMBER, new_uid, software_version
from strategies.errors import DataError

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset

SCHEME: Final = "99SRFLM"
_LONGEST = 64  # letters of a label


def mask_as_dicom(
    mask: NDArray[Any],
    affine: NDArray[np.float64] | None,
    origin: Origin,
    classes: Sequence[str],
    series_uid: str,
) -> bytes:
    """Return a DICOM file with the classes of a mask (*space) as segments, the background left out.

    Segment n is class n, also if no voxel has it; ``mask`` and ``affine`` are as the image was
    read.  The file belongs to the source's patient and study, references each source image, and
    lies on its frames.  Raises :class:`DataError` for a source that does not say enough of itself,
    a mask of another geometry, and classes without a name that DICOM can hold.
    """
    descriptions = _segments(classes)
    frames = as_frames(mask, affine, origin)
    with quiet():
        try:
            return _encoded(frames, origin, descriptions, series_uid)
        except Exception as error:  # highdicom has exceptions of its own, and quotes headers
            kind = type(error).__name__
    raise unreadable(
        f"{origin.where} is no source for a DICOM segmentation ({kind})",
        "DICOM images of one patient, with all that the standard wants of them",
        "export them again, or write NIfTI: --format nifti",
    )


def _encoded(
    frames: NDArray[Any],
    origin: Origin,
    descriptions: list[SegmentDescription],
    series_uid: str,
) -> bytes:
    from highdicom.seg import Segmentation

    for file in origin.files:
        _drop_invalid(file)
    found = Segmentation(
        source_images=origin.files,
        pixel_array=frames.astype(np.uint8 if frames.max() < 256 else np.uint16),
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        series_instance_uid=series_uid,
        series_number=SERIES_NUMBER,
        sop_instance_uid=new_uid(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MODEL,
        software_versions=software_version(),
        device_serial_number="0",
        series_description="Segmentation by SRFLM",
        content_label="SEGMENTATION",
    )
    # Names of classes are not the source's: its character set may not have their letters.
    found.SpecificCharacterSet = "ISO_IR 192"
    content = io.BytesIO()
    found.save_as(content)
    return content.getvalue()


def _drop_invalid(header: Dataset) -> None:
    """Empty those elements of the patient and the study that have a value which DICOM forbids."""
    from pydicom.valuerep import DA, TM

    # Real scanners write "0" as a patient's sex; a mask need not fail for it.
    if header.PatientSex not in ("M", "F", "O"):
        header.PatientSex = None
    for name, form in (("PatientBirthDate", DA), ("StudyDate", DA), ("StudyTime", TM)):
        try:
            form(header.get(name) or "")
        except (ValueError, TypeError):
            header[name].value = None


def _segments(classes: Sequence[str]) -> list[SegmentDescription]:
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from highdicom.sr.coding import CodedConcept
    from pydicom.sr.codedict import codes

    named = classes[1:]
    wrong = [name for name in named if len(name) > _LONGEST or "\\" in name or not name.strip()]
    if wrong:
        raise DataError(
            f"the class {wrong[0][:_LONGEST]!r}, which is no label of a DICOM segment",
            f"1 to {_LONGEST} letters without a backslash",
            "write NIfTI: --format nifti",
            DataError.UNREADABLE,
        )
    algorithm = AlgorithmIdentificationSequence(
        name="SRFLM", family=codes.DCM.ArtificialIntelligence, version=software_version()
    )
    return [
        SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=CodedConcept(_code(name), SCHEME, name),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for number, name in enumerate(named, start=1)
    ]


def _code(name: str) -> str:
    """Return a code of the private scheme: the same for the same class everywhere."""
    return hashlib.sha256(name.encode()).hexdigest()[:16].upper()
