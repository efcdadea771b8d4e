"""Make pairs of CT slices, at a quarter of the dose and at the full dose, of real DICOM slices.

    python examples/ct-dicom/make_pairs.py FOLDER OUT

FOLDER has CT slices in DICOM, in any structure.  OUT gets ``images`` (low dose) and ``targets``
(full dose), DICOM files in HU that keep the maker, the model, the kernel, the patient's number, and
the place of their slice; all else of the header is left out.  Copies of a slice are made once.

Noise is that of the built-in phantom (:mod:`clients.data.phantom.scanner`): filtered
back-projection shapes it, and along the rays it grows with the attenuation of the slice itself.  In
a slice that is not axial the rays do not lie, so there it is the noise of a mean abdomen all over.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from clients.data.phantom.anatomy import Slices
from clients.data.phantom.scanner import AVERAGE, MATRIX, quantum_noise
from clients.imaging.reading import read_volume

SEED = 65
FRACTION = 0.25  # of the dose
ABDOMEN_MM = 240.0  # of water, a mean abdomen
AXIAL = 0.9  # cosine between the slice's normal and the body's long axis
KEPT = (
    *("Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "PatientID"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
)


def main(source: Path, out: Path) -> None:
    """Write the pairs."""
    done: set[str] = set()
    for path in sorted(source.rglob("*.dcm")):
        header = dcmread(path, stop_before_pixels=True)
        if header.SOPInstanceUID in done:
            continue
        hounsfield = read_volume(path).values[0].astype(np.float32)
        noise = added_noise(hounsfield, header)
        for folder, values in (("images", hounsfield + noise), ("targets", hounsfield)):
            (out / folder).mkdir(parents=True, exist_ok=True)
            _write(out / folder / f"{len(done):03}.dcm", values, header)
        done.add(header.SOPInstanceUID)
    print(f"{len(done)} pairs in {out}")


def added_noise(hounsfield: NDArray[np.float32], header: Dataset) -> NDArray[np.float32]:
    """Return the noise (height, width) in HU by which a slice has FRACTION of its dose."""
    size, pixel = hounsfield.shape[0], float(header.PixelSpacing[0])
    scanner = replace(AVERAGE, pixel_mm=pixel * size / MATRIX)
    directions = np.array(header.ImageOrientationPatient, float)
    if abs(np.cross(directions[:3], directions[3:])[2]) < AXIAL:
        # As much water on every ray as a mean abdomen has.
        hounsfield = np.full_like(hounsfield, 1000 * (ABDOMEN_MM / (size * pixel) - 1))
    none = np.zeros(1, np.int64)
    slices = Slices(hounsfield[None], none[:, None, None].astype(np.uint8), none, pixel)
    digest = hashlib.sha256(header.SOPInstanceUID.encode()).digest()
    rng = np.random.default_rng([SEED, int.from_bytes(digest[:8], "big")])
    # Variances add, and each is 1/dose: 1/(f·d) = 1/d + (1/f − 1)/d.
    return quantum_noise(slices, scanner, rng, scanner.dose / (1 / FRACTION - 1))[0]


def _write(path: Path, hounsfield: NDArray[np.float32], header: Dataset) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, Dataset(), file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.FrameOfReferenceUID, data.Modality = generate_uid(), "CT"
    data.ImageType = ["DERIVED", "PRIMARY", "SIMULATED"]
    for name in KEPT:
        if name in header:
            setattr(data, name, header[name].value)
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, 1, "HU"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelRepresentation = 1
    data.Rows, data.Columns = hounsfield.shape
    data.PixelData = np.rint(hounsfield).astype(np.int16).tobytes()
    data.save_as(path, enforce_file_format=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
