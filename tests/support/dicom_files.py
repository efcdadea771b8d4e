"""DICOM files as scanners write them, with a patient whose data must not appear anywhere."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import DataElement, Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

CANARY = "CANARY"
REAL_CT = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct_sbu"
"""CT slices of two makers, where they are at hand."""

HU = np.random.default_rng(3).integers(-900, 1500, (6, 9))
RAMP = np.arange(54).reshape(6, 9)
MR = {"Modality": "MR", "RescaleSlope": None, "RescaleIntercept": None, "RescaleType": None}
"""Changes of the header by which a file is of MR."""

SAID_OF_PATIENTS = (
    *("PatientName", "PatientID", "OtherPatientNames", "PatientComments", "PatientAddress"),
    *("StudyDescription", "SeriesDescription", "AccessionNumber", "InstitutionName"),
    *("ReferringPhysicianName", "OperatorsName", "StationName", "ProtocolName", "StudyID"),
    *("ImageComments", "AdditionalPatientHistory", "RequestedProcedureDescription"),
)


def canary_header() -> Dataset:
    """Return a CT header with the canary in every text, and dates and numbers that are none."""
    dataset = Dataset()
    for name in SAID_OF_PATIENTS:
        setattr(dataset, name, f"{CANARY}^{name[:8]}")
    for tag, vr, value in (
        (Tag("PatientBirthDate"), "DA", f"1{CANARY}"),
        (Tag("StudyDate"), "DA", f"2{CANARY}"),
        (Tag("PatientAge"), "AS", CANARY),
        (Tag("PatientWeight"), "DS", CANARY),
        (Tag("SeriesNumber"), "IS", CANARY),
        (Tag("FrameOfReferenceUID"), "UI", CANARY),
        (Tag("WindowCenter"), "DS", CANARY),
        (Tag("PixelAspectRatio"), "IS", CANARY),
    ):
        # Without validation on writing: such files are what validation on reading warns of.
        dataset[tag] = DataElement(tag, vr, value, already_converted=True)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
    dataset.Modality, dataset.PhotometricInterpretation = "CT", "MONOCHROME2"
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = "1", "-1024", "HU"
    return dataset


def write_dicom(
    path: Path, stored: np.ndarray, syntax: str = ExplicitVRLittleEndian, **changes: Any
) -> Path:
    """Write ``stored`` (height, width), or (height, width, 3) for RGB; None drops an element.

    The pixels are not compressed, whatever ``syntax`` says.
    """
    dataset = canary_header()
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel = 1
    if stored.ndim == 3:
        dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
        dataset.PhotometricInterpretation = "RGB"
    dataset.BitsAllocated = dataset.BitsStored = 8 * stored.dtype.itemsize
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    is_big = syntax == ExplicitVRBigEndian
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder(">" if is_big else "<")).tobytes()
    dataset["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    if UID(syntax).is_transfer_syntax and UID(syntax).is_compressed:
        dataset.PixelData = encapsulate([dataset.PixelData])
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        elif value == CANARY:
            tag = Tag(name)
            dataset[tag] = DataElement(tag, dictionary_VR(tag), value, already_converted=True)
        else:
            setattr(dataset, name, value)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, implicit_vr=False, little_endian=not is_big, enforce_file_format=True)
    return path


def compress(path: Path, syntax: str) -> Path:
    """Write a file again with its pixels compressed."""
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the canary
        dataset = dcmread(path)
        dataset.compress(UID(syntax), generate_instance_uid=False)
        dataset.save_as(path)
    return path


def stored_by_ge(hu: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Return stored pixels, and header elements, as GE's scanners store these HU."""
    elements = {"RescaleIntercept": "-1024", "PixelPaddingValue": -2000}
    return (hu + 1024).astype(np.int16), elements


def stored_by_toshiba(hu: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Return stored pixels, and header elements, as TOSHIBA's scanners store these HU."""
    return hu.astype(np.int16), {"RescaleIntercept": "0", "RescaleType": None}
