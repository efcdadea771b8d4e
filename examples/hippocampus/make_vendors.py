"""Make four vendors of the Medical Segmentation Decathlon's hippocampus volumes.

    python examples/hippocampus/make_vendors.py FOLDER OUT

FOLDER has the 260 training volumes as they are published (Task04, CC BY-SA 4.0): ``images`` and
``labels``, or ``imagesTr`` and ``labelsTr``.  OUT gets a folder for each vendor.  The vendors have
20, 40, 70, and 130 volumes, and differ in intensity, blur, noise, and spacing; the smallest one
keeps its images as DICOM series.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from scipy import ndimage

Array = NDArray[np.float32]
SEED = 65


@dataclass(frozen=True)
class Vendor:
    """A scanner: ``gamma`` and ``bias`` change intensities, ``blur`` is in mm, ``noise`` in the
    image's own range, ``spacing`` in mm."""

    name: str
    cases: int
    gamma: float
    bias: float
    blur: tuple[float, float, float]
    noise: float
    spacing: tuple[float, float, float]
    dicom: bool = False


VENDORS = (
    Vendor("aster", 20, 0.7, 0.2, (0.6, 0.6, 0.6), 0.02, (1.0, 1.0, 1.0), dicom=True),
    Vendor("borealis", 40, 1.0, 0.0, (0.0, 0.0, 1.2), 0.05, (1.0, 1.0, 1.5)),
    Vendor("cygnus", 70, 1.5, 0.4, (0.4, 0.4, 0.4), 0.03, (1.0, 1.0, 1.0)),
    Vendor("draco", 130, 1.0, 0.1, (0.0, 0.0, 0.0), 0.01, (1.0, 1.0, 1.0)),
)


def main(source: Path, out: Path) -> None:
    """Write the vendors' folders."""
    pairs = [_folder(source, names) for names in (("images", "imagesTr"), ("labels", "labelsTr"))]
    cases = sorted(path.name for path in pairs[0].glob("*.nii.gz"))
    if len(cases) < sum(vendor.cases for vendor in VENDORS):
        sys.exit(f"found {len(cases)} volumes in {pairs[0]}; expected 260; download Task04 again")
    order = np.random.default_rng(SEED).permutation(len(cases))
    first = 0
    for vendor in VENDORS:
        chosen = [cases[n] for n in sorted(order[first : first + vendor.cases])]
        first += vendor.cases
        for name in chosen:
            image, labels = (nibabel.load(folder / name) for folder in pairs)
            _write(vendor, out / vendor.name, name, image, labels)
        print(f"{vendor.name}: {len(chosen)} volumes")


def _folder(source: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (source / name).is_dir():
            return source / name
    sys.exit(f"found no folder {' or '.join(names)} in {source}; expected the published data")


def _write(vendor: Vendor, folder: Path, name: str, image: object, labels: object) -> None:
    rng = np.random.default_rng([SEED, int("".join(filter(str.isdigit, name)) or 0)])
    affine = np.asarray(image.affine)  # type: ignore[attr-defined]
    values = _scanned(np.asarray(image.dataobj, np.float32), vendor, rng)  # type: ignore[attr-defined]
    masks = np.asarray(labels.dataobj).astype(np.uint8)  # type: ignore[attr-defined]
    factors = np.array(vendor.spacing) / np.abs(np.diag(affine)[:3])
    if (factors != 1).any():
        shape = np.ceil(np.array(values.shape) / factors).astype(int)
        grid = {"matrix": np.diag(factors), "output_shape": tuple(shape), "mode": "nearest"}
        values = ndimage.affine_transform(values, order=1, **grid)
        masks = ndimage.affine_transform(masks, order=0, **grid)
        affine = affine @ np.diag([*factors, 1])
    stored = np.rint(values * 1000).astype(np.int16)
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(masks, affine), folder / "masks" / name)
    if vendor.dicom:
        _write_series(folder / "images" / name.removesuffix(".nii.gz"), stored, affine, rng)
    else:
        nibabel.save(nibabel.Nifti1Image(stored, affine), folder / "images" / name)


def _scanned(values: Array, vendor: Vendor, rng: np.random.Generator) -> Array:
    """Return the volume, in 0…1, as the vendor's scanner would show it."""
    low, high = np.percentile(values, [0.5, 99.5])
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1) ** vendor.gamma
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in values.shape), indexing="ij")
    direction = rng.normal(size=3)
    slope = direction / np.linalg.norm(direction)
    field = sum(d * axis for d, axis in zip(slope, axes, strict=True))
    blurred = ndimage.gaussian_filter(scaled * (1 + vendor.bias * field), vendor.blur)
    noisy = blurred + rng.normal(0, vendor.noise, values.shape)
    return np.asarray(np.clip(noisy, 0, None), np.float32)


def _write_series(
    folder: Path, stored: NDArray[np.int16], affine: NDArray[np.float64], rng: np.random.Generator
) -> None:
    """Write a volume as one MR series, a file for each slice, in random order."""
    folder.mkdir(parents=True, exist_ok=True)
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    steps = [to_lps[:3, axis] for axis in range(3)]
    sizes = [float(np.linalg.norm(step)) for step in steps]
    rows, columns = steps[1] / sizes[1], steps[0] / sizes[0]
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for number, index in enumerate(rng.permutation(stored.shape[2])):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(None, Dataset(), file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID = study, series
        data.FrameOfReferenceUID, data.Modality, data.Manufacturer = frame, "MR", "Aster"
        data.PatientID, data.PatientName = folder.name, folder.name
        data.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
        data.InstanceNumber = number + 1
        data.ImagePositionPatient = [float(v) for v in to_lps[:3, 3] + index * steps[2]]
        data.ImageOrientationPatient = [float(v) for v in (*columns, *rows)]
        data.PixelSpacing, data.SliceThickness = [sizes[1], sizes[0]], sizes[2]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
        data.PixelRepresentation = 1
        data.Rows, data.Columns = stored.shape[1], stored.shape[0]
        data.PixelData = np.ascontiguousarray(stored[:, :, index].T).tobytes()
        data.save_as(folder / f"{number:03}.dcm", enforce_file_format=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
