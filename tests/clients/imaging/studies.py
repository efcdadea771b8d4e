"""DICOM series that a result can reference: a study, and dates that are dates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, generate_uid

from clients.imaging.index import Series
from clients.imaging.quiet import quiet
from clients.imaging.reading import read_volume
from clients.imaging.results.origin import as_frames, origin_of
from tests.support.dicom_files import CANARY
from tests.support.dicom_series import AXIAL, affine_of, series_in, slices_of, write_series

IN_A_STUDY: dict[str, Any] = {
    "PatientBirthDate": "19700101",
    "StudyDate": "20200102",
    "PatientAge": "050Y",
    "PatientWeight": "70",
    "SeriesNumber": "3",
    "PixelAspectRatio": None,
    "WindowCenter": None,
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
}
CT = {
    "Modality": "CT",
    "SOPClassUID": CTImageStorage,
    "RescaleSlope": "1",
    "RescaleIntercept": "-1024",
    "RescaleType": "HU",
}


def study() -> dict[str, Any]:
    """Return the elements of a new study of the canary's patient."""
    return {
        **IN_A_STUDY,
        "StudyInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        "PatientID": f"{CANARY}-1",
    }


def volume_of_ct(shape: tuple[int, int, int] = (6, 7, 8), seed: int = 0) -> np.ndarray:
    """Return stored numbers of a CT volume, axes right, anterior, superior."""
    return np.random.default_rng(seed).integers(100, 2500, shape).astype(np.int16)


def write_study(
    folder: Path,
    values: np.ndarray,
    axes: tuple[int, int, int] = AXIAL,
    affine: np.ndarray | None = None,
    **changes: Any,
) -> Series:
    """Write a CT series in a study of its own, and return it."""
    place = affine_of((1.5, 1.0, 2.0)) if affine is None else affine
    elements = {**study(), **CT, "SeriesInstanceUID": generate_uid(), **changes}
    write_series(folder, slices_of(values, place, axes), **elements)
    return series_in(folder)


def write_segmentation(
    path: Path,
    source: Series | Path,
    masks: np.ndarray,
    labels: Sequence[str],
    kind: str = "BINARY",
    **changes: Any,
) -> Path:
    """Write a SEG of another program: ``masks`` (*space), or one for each segment behind that."""
    origin = origin_of(source)
    affine = read_volume(source).affine
    if masks.ndim == 4:
        each = [as_frames(mask, affine, origin) for mask in np.moveaxis(masks, -1, 0)]
        pixels = np.stack(each, axis=-1)
    else:
        pixels = as_frames(masks, affine, origin)
    with quiet():
        found = Segmentation(
            source_images=origin.files,
            pixel_array=pixels,
            segmentation_type=kind,
            segment_descriptions=[
                SegmentDescription(number, label, codes.SCT.Tissue, codes.SCT.Liver, "MANUAL")
                for number, label in enumerate(labels, start=1)
            ],
            series_instance_uid=generate_uid(),
            series_number=5,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="Maker",
            manufacturer_model_name="Editor",
            software_versions="1",
            device_serial_number="1",
        )
        for name, value in changes.items():
            setattr(found, name, value)
        path.parent.mkdir(parents=True, exist_ok=True)
        found.save_as(path)
    return path
