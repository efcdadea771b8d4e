"""Images of DICOM and NIfTI keep their budget: older versions knew them as MONAI reads them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.data import NibabelReader, PydicomReader
from monai.transforms import LoadImage
from nibabel.nifti1 import Nifti1Image

from clients.data.examples import Examples, older_names, record_name
from clients.data.folder import read_folder
from clients.data.former_names import former_names
from clients.data.image_file import load_image
from clients.data.vendor_data import as_split
from clients.imaging.dicom import as_monai_read
from clients.preparation.settings import PrepareSettings
from clients.privacy.ledger.ledger import PrivacyLedger
from clients.privacy.ledger.manifest import Manifest, manifest_of
from clients.settings import SplitSettings
from tests.support.dicom_files import HU, MR, RAMP, stored_by_ge, write_dicom
from tests.support.dicom_series import affine_of
from tests.support.learning.tasks import classification

WINDOWED = PrepareSettings(window=(-160, 240))

GE, GE_HEADER = stored_by_ge(HU)
FILES: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "CT": (GE, GE_HEADER),
    "MR": (RAMP.astype(np.uint16), MR),
    "inverted": (RAMP.astype(np.uint16), {**MR, "PhotometricInterpretation": "MONOCHROME1"}),
    "slope": (RAMP.astype(np.uint16), {**MR, "RescaleSlope": "0.37", "RescaleIntercept": "-2.5"}),
    "slope alone": (RAMP.astype(np.int16), {**MR, "RescaleSlope": "3"}),
    "bytes": (RAMP.astype(np.uint8), MR),
    "same bytes": (RAMP.astype(np.uint8), {**MR, "RescaleSlope": "1", "RescaleIntercept": "0"}),
    "colour": (np.arange(162, dtype=np.uint8).reshape(6, 9, 3), MR),
}


def read_by_monai(path: Path, reader: Any = PydicomReader) -> np.ndarray:
    """Return what older versions read."""
    try:
        return _read_by_monai(path, reader, None)
    except ValueError:  # of foreign byte order
        return _read_by_monai(path, reader, np.float32)


def _read_by_monai(path: Path, reader: Any, dtype: type | None) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load = LoadImage(reader, image_only=True, ensure_channel_first=True, dtype=dtype)
        return np.asarray(load(path))


@pytest.mark.parametrize("name", FILES)
def test_names_of_older_versions_are_known(tmp_path: Path, name: str) -> None:
    stored, header = FILES[name]
    path = write_dicom(tmp_path / "x.dcm", stored, **header)
    before, now = read_by_monai(path), load_image(path)
    assert {record_name(before), *older_names(before)} <= now.older
    assert now.name not in now.older


@pytest.mark.parametrize("kind", [np.int16, np.int32])
def test_names_by_the_other_reader_of_monai_are_known(tmp_path: Path, kind: type) -> None:
    """With ITK, whole numbers were integers, and a slice had an axis of length 1."""
    path = write_dicom(tmp_path / "x.dcm", GE, **GE_HEADER)
    before = read_by_monai(path).astype(kind)[..., None]
    assert {record_name(before), *older_names(before)} <= load_image(path).older


@pytest.mark.parametrize("kind", ["u1", "i2", ">i2", "f4", "f8"])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_names_of_older_versions_of_nifti_are_known(
    tmp_path: Path, kind: str, flips: tuple[int, int, int], order: tuple[int, int, int]
) -> None:
    """Where the axes are in order already, the name itself is the same as ever."""
    array = np.random.default_rng(4).integers(0, 200, (5, 6, 7)).astype(kind)
    affine = affine_of(flips=flips)[:, [*order, 3]]
    header = Nifti1Image.header_class(endianness=">" if kind[0] == ">" else "<")
    header.set_data_dtype(np.dtype(kind))
    path = tmp_path / "x.nii.gz"
    nib.save(Nifti1Image(array, affine, header), path)
    before = read_by_monai(path, NibabelReader)
    now = load_image(path)
    assert {record_name(before), *older_names(before)} <= now.older
    is_in_order = flips == (1, 1, 1) and order == (0, 1, 2)
    assert (now.name == record_name(before)) == is_in_order


@pytest.mark.parametrize("rescale", [None, (1.0, 0.0), (0.0, 5.0), (2e6, 1e9), (1e300, 1e300)])
def test_every_rescale_has_names(rescale: tuple[float, float] | None) -> None:
    assert len(former_names(as_monai_read(GE[None], rescale))) >= 3


def test_name_is_that_of_the_pixels_as_they_are_stored(tmp_path: Path) -> None:
    one = load_image(write_dicom(tmp_path / "1.dcm", GE, **GE_HEADER))
    two = load_image(write_dicom(tmp_path / "2.dcm", GE, RescaleSlope="2"))
    assert one.name == two.name == record_name(GE)
    np.save(tmp_path / "3.npy", GE)
    assert load_image(tmp_path / "3.npy").name == one.name


@pytest.mark.parametrize("entered", ["canonical", "in its own type"])
def test_ledger_of_an_older_version_recognises_dicom(tmp_path: Path, entered: str) -> None:
    folder = tmp_path / "images"
    paths = []
    for number in range(12):
        paths.append(folder / "cyst" / f"{number}.dcm")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        write_dicom(paths[-1], np.roll(GE, number, axis=1), **GE_HEADER)
    ledger = PrivacyLedger(tmp_path / "state" / "privacy.sqlite", tmp_path / "privacy.anchor")
    pixels = [read_by_monai(path) for path in paths]
    name = record_name if entered == "canonical" else lambda each: older_names(each)[0]
    before = ledger.enrol(Manifest.of(name(each) for each in pixels))
    arrays = read_folder(folder, ("cyst", "solid"), None, SplitSettings(), b"1", WINDOWED)
    now = ledger.enrol(manifest_of(as_split(arrays["train"], classification())))
    unlike = Examples(np.stack([np.roll(GE, 1, axis=0)]), np.zeros(1))
    strange = ledger.enrol(manifest_of(as_split(unlike, classification())))
    assert ledger.books().group(now) == {before, now}
    assert ledger.books().group(strange) == {strange}
