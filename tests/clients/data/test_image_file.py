"""Rules of reading one image file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from PIL import Image

import clients.imaging.reading as reading
from clients.data.image_file import read_image
from clients.preparation.settings import AS_READ, PrepareSettings
from strategies.errors import DataError
from tests.support.dicom_files import (
    HU,
    MR,
    RAMP,
    stored_by_ge,
    stored_by_toshiba,
    write_dicom,
)


def test_colour_images_have_their_channels_first(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[..., 1] = 200
    Image.fromarray(pixels).save(tmp_path / "green.png")
    image = read_image(tmp_path / "green.png", None, AS_READ)
    assert image.shape == (3, 20, 30)
    np.testing.assert_allclose(image[1], 200 / 255, rtol=1e-6)


def test_volumes_in_numpy_files_are_read(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(8, 9, 10)).astype(np.float32)
    np.save(tmp_path / "volume.npy", volume)
    assert read_image(tmp_path / "volume.npy", None, AS_READ).shape == (1, 8, 9, 10)
    assert read_image(tmp_path / "volume.npy", 16, AS_READ).shape == (1, 16, 16, 16)


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.PNG"])
def test_bytes_keep_their_place_and_their_scale(tmp_path: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(40, 90, (9, 14), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / name)
    image = read_image(tmp_path / name, None, AS_READ)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, pixels[None] / 255, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32, ">f8"])
@pytest.mark.parametrize("suffix", ["npy", "png"])
def test_other_types_are_scaled_by_their_own_range(
    tmp_path: Path, dtype: np.dtype, suffix: str
) -> None:
    pixels = np.linspace(100, 1100, 12).reshape(3, 4).astype(dtype)
    path = tmp_path / f"x.{suffix}"
    if suffix == "npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels.astype(np.uint16)).save(path)
    np.testing.assert_allclose(
        read_image(path, None, AS_READ), (pixels[None] - 100.0) / 1000, atol=1e-3
    )


def test_bytes_in_numpy_files_are_scaled_as_in_archives(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 4), 51, np.uint8))
    np.testing.assert_allclose(read_image(tmp_path / "x.npy", None, AS_READ), 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "brightest"), [(np.uint8, 110 / 255), (np.uint16, 1), (">i2", 1), (np.float64, 1)]
)
def test_other_formats_are_scaled_by_the_type_that_monai_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, brightest: float
) -> None:
    monkeypatch.setattr(reading, "NUMPY_SUFFIXES", set())  # as MONAI reads without itk
    np.save(tmp_path / "x.npy", np.arange(0, 120, 10).reshape(3, 4).astype(dtype))
    image = read_image(tmp_path / "x.npy", None, AS_READ)
    assert image.shape == (1, 3, 4)
    assert image.max() == pytest.approx(brightest)


def test_image_of_one_value_has_no_range_and_is_black(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 4), 7.0))
    assert (read_image(tmp_path / "x.npy", None, AS_READ) == 0).all()


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "CMYK"])
def test_palette_or_transparency_is_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new(mode, (16, 16)).save(path)
    with pytest.raises(DataError, match=f"colour mode {mode}") as caught:
        read_image(path, None, AS_READ)
    assert caught.value.code == DataError.UNREADABLE
    assert "without transparency" in caught.value.mend


def test_image_with_nan_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 4), np.nan))
    with pytest.raises(DataError, match="NaN"):
        read_image(tmp_path / "x.npy", None, AS_READ)


@pytest.mark.parametrize("shape", [(), (9,), (0, 4), (2, 2, 2, 2)])
def test_array_that_is_no_image_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match="two or three spatial dimensions") as caught:
        read_image(tmp_path / "x.npy", 16, AS_READ)
    assert caught.value.code == DataError.UNREADABLE


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.npz.png", "x.npz.old"])
def test_pickled_objects_are_never_unpickled(tmp_path: Path, name: str) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    trap = np.array([Trap()], dtype=object)
    with (tmp_path / name).open("wb") as file:
        np.save(file, trap) if name == "x.npy" else np.savez(file, trap)
    with pytest.raises(DataError) as caught:
        read_image(tmp_path / name, None, AS_READ)
    assert caught.value.code == DataError.UNREADABLE
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_is_read_with_its_axes_in_order(tmp_path: Path, suffix: str) -> None:
    volume = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nib.save(Nifti1Image(volume[::-1], np.diag([-1.0, 1, 1, 1])), tmp_path / f"x{suffix}")
    image = read_image(tmp_path / f"x{suffix}", None, AS_READ)
    np.testing.assert_allclose(image[0], volume / 59, rtol=1e-6)
    mapped = read_image(tmp_path / f"x{suffix}", None, PrepareSettings(window=(10, 30)))
    np.testing.assert_allclose(mapped[0], (volume.clip(10, 30) - 10) / 20, rtol=1e-6)


# ---- a window ------------------------------------------------------------------------------------

WINDOW = PrepareSettings(window=(-160.0, 240.0))


@pytest.mark.parametrize("maker", [stored_by_ge, stored_by_toshiba])
def test_window_maps_hu_linearly_and_cuts_off(tmp_path: Path, maker: Any) -> None:
    hu = np.array([[-1000, -160, 40, 240], [1500, 0, 0, -60]])
    stored, elements = maker(hu)
    image = read_image(write_dicom(tmp_path / "x.dcm", stored, **elements), None, WINDOW)
    assert image.shape == (1, 2, 4) and image.dtype == np.float32
    np.testing.assert_allclose(image[0], [[0, 0, 0.5, 1], [1, 0.4, 0.4, 0.25]], atol=1e-6)


def test_window_maps_the_numbers_of_arrays(tmp_path: Path) -> None:
    for name, values in (("a", [[-300, 40, 900]]), ("b", [[0, 40, 200]])):
        for kind in (np.float64, np.int16) if name == "a" else (np.uint8,):
            np.save(tmp_path / "x.npy", np.array(values, dtype=kind))
            image = read_image(tmp_path / "x.npy", None, WINDOW)
            expected = (np.clip(np.array([values]), -160, 240) + 160) / 400
            np.testing.assert_allclose(image, expected, atol=1e-6)


def test_ct_without_a_window_is_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "x.dcm", *stored_by_ge(HU)[:1])
    with pytest.raises(DataError) as caught:
        read_image(path, None, AS_READ)
    assert caught.value.code == DataError.WINDOW
    assert "window = [-1024, 1024]" in caught.value.mend and "[-160, 240]" in caught.value.mend


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_other_dicom_without_a_window_is_scaled_as_other_files(tmp_path: Path, dtype: type) -> None:
    image = read_image(write_dicom(tmp_path / "x.dcm", RAMP.astype(dtype), **MR), None, AS_READ)
    np.testing.assert_allclose(image[0], RAMP / (255 if dtype is np.uint8 else 53), rtol=1e-6)


def test_other_dicom_has_the_window_too(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "x.dcm", RAMP.astype(np.uint16), **MR)
    np.testing.assert_allclose(
        read_image(path, None, PrepareSettings(window=(0, 100)))[0], RAMP / 100, rtol=1e-6
    )


@pytest.mark.parametrize("form", ["x.png", "x.dcm"])
def test_picture_is_refused_where_a_window_is_agreed(tmp_path: Path, form: str) -> None:
    pixels, path = np.zeros((8, 8, 3), np.uint8), tmp_path / form
    Image.fromarray(pixels).save(path) if form == "x.png" else write_dicom(path, pixels)
    assert read_image(path, None, AS_READ).shape == (3, 8, 8)
    with pytest.raises(DataError, match="in no unit") as caught:
        read_image(path, None, WINDOW)
    assert caught.value.code == DataError.WINDOW


def test_dicom_without_a_suffix_is_upright_too(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "IM0001", RAMP.astype(np.uint16), **MR)
    np.testing.assert_allclose(read_image(path, None, AS_READ)[0], RAMP / 53, rtol=1e-6)


def test_other_files_are_read_without_pydicom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dicom(tmp_path / "x.dcm", RAMP.astype(np.int16))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    np.save(tmp_path / "x.npy", RAMP)
    assert read_image(tmp_path / "x.npy", None, AS_READ).max() == 1
    with pytest.raises(DataError, match=r"srflm-flower\[imaging\]"):
        read_image(path, None, WINDOW)
