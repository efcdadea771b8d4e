"""One entry reads every form of image, and what was converted is what it was converted from."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from PIL import Image

from clients.imaging.reading import read_volume
from clients.imaging.volume import Volume
from strategies.errors import DataError
from tests.support.dicom_files import CANARY, MR, RAMP, write_dicom
from tests.support.dicom_series import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    affine_of,
    series_in,
    slices_of,
    write_series,
)

ARRAY = np.random.default_rng(8).integers(0, 4000, (5, 6, 7)).astype(np.int16)


def read(path: Path) -> Volume:
    volume = read_volume(path)
    assert isinstance(volume, Volume)
    return volume


@pytest.mark.parametrize("axes", [AXIAL, CORONAL, SAGITTAL])
@pytest.mark.parametrize("degrees", [0, 33])
def test_nifti_written_as_dicom_is_the_same_volume(
    tmp_path: Path, axes: tuple[int, int, int], degrees: float
) -> None:
    affine = affine_of(degrees=degrees, flips=(-1, 1, -1))
    nib.save(Nifti1Image(ARRAY, affine), tmp_path / "x.nii.gz")
    write_series(tmp_path / "series", slices_of(ARRAY, affine, axes))
    nifti, folder = read(tmp_path / "x.nii.gz"), read(tmp_path / "series")
    series = read_volume(series_in(tmp_path / "series"))
    assert nifti.affine is not None and series.affine is not None
    np.testing.assert_array_equal(nifti.values, series.values)
    np.testing.assert_array_equal(folder.values, series.values)
    np.testing.assert_allclose(nifti.affine, series.affine, atol=1e-4)
    assert nifti.spacing == pytest.approx(series.spacing, abs=1e-4)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".TIF"])
@pytest.mark.parametrize("colour", [False, True])
def test_pictures_are_upright(tmp_path: Path, suffix: str, colour: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    pixels = pixels if colour else pixels[..., 0]
    Image.fromarray(pixels).save(tmp_path / f"x{suffix}")
    volume = read(tmp_path / f"x{suffix}")
    expected = np.moveaxis(pixels, -1, 0) if colour else pixels[None]
    np.testing.assert_array_equal(volume.values, expected)
    assert volume.kind == "picture" and volume.affine is None and volume.spacing == (1, 1)


def test_tiff_of_several_pages_is_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(RAMP.astype(np.uint8)) for _ in range(2)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match="several pages"):
        read(tmp_path / "x.tif")


def test_arrays_are_as_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", ARRAY)
    volume = read(tmp_path / "x.npy")
    np.testing.assert_array_equal(volume.values[0], ARRAY)
    assert volume.kind == "numbers" and volume.affine is None


def test_single_dicom_image_knows_its_place(tmp_path: Path) -> None:
    pixels, elements = slices_of(ARRAY, affine_of())[2]
    path = write_dicom(tmp_path / "x.dcm", pixels, **{**MR, **elements})
    volume = read(path)
    np.testing.assert_array_equal(volume.values, pixels[None])
    assert volume.affine is not None
    np.testing.assert_allclose(volume.affine @ [4, 3, 0, 1], affine_of() @ [3, 4, 2, 1], atol=1e-6)
    nowhere = read(write_dicom(tmp_path / "y.dcm", pixels, **MR))
    assert nowhere.affine is None and nowhere.spacing == (1, 1)


@pytest.mark.parametrize("name", ["x.txt", "x.mha", "x.png", "x.npy", "x"])
def test_what_is_no_image_is_refused_without_a_word_of_it(
    tmp_path: Path,
    name: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / name).write_text(f"{CANARY} is no image")
    with caplog.at_level(logging.DEBUG), pytest.raises(DataError) as caught:
        read(tmp_path / name)
    assert caught.value.code == DataError.UNREADABLE and "NIfTI, DICOM" in caught.value.expected
    said = "".join(traceback.format_exception(caught.value))
    printed = capfd.readouterr()
    assert CANARY not in said + caplog.text + printed.out + printed.err


@pytest.mark.parametrize("package", ["pydicom", "highdicom", "nibabel"])
def test_pictures_and_arrays_need_no_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    np.save(tmp_path / "x.npy", RAMP)
    Image.fromarray(RAMP.astype(np.uint8)).save(tmp_path / "x.png")
    assert read(tmp_path / "x.npy").values.max() == read(tmp_path / "x.png").values.max() == 53
