"""Rules of reading one image file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import clients.data.image_file as image_module
from clients.data.image_file import read_image
from strategies.errors import DataError


def test_colour_images_have_their_channels_first(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[..., 1] = 200
    Image.fromarray(pixels).save(tmp_path / "green.png")
    image = read_image(tmp_path / "green.png", None, None)
    assert image.shape == (3, 20, 30)
    np.testing.assert_allclose(image[1], 200 / 255, rtol=1e-6)


def test_volumes_in_numpy_files_are_read(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(8, 9, 10)).astype(np.float32)
    np.save(tmp_path / "volume.npy", volume)
    assert read_image(tmp_path / "volume.npy", None, None).shape == (1, 8, 9, 10)
    assert read_image(tmp_path / "volume.npy", 16, None).shape == (1, 16, 16, 16)


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.PNG"])
def test_bytes_keep_their_place_and_their_scale(tmp_path: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(40, 90, (9, 14), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / name)
    image = read_image(tmp_path / name, None, None)
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
        read_image(path, None, None), (pixels[None] - 100.0) / 1000, atol=1e-3
    )


def test_bytes_in_numpy_files_are_scaled_as_in_archives(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 4), 51, np.uint8))
    np.testing.assert_allclose(read_image(tmp_path / "x.npy", None, None), 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "brightest"), [(np.uint8, 110 / 255), (np.uint16, 1), (">i2", 1), (np.float64, 1)]
)
def test_other_formats_are_scaled_by_the_type_that_monai_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, brightest: float
) -> None:
    monkeypatch.setattr(image_module, "_NUMPY_SUFFIXES", set())  # as MONAI reads without itk
    np.save(tmp_path / "x.npy", np.arange(0, 120, 10).reshape(3, 4).astype(dtype))
    image = read_image(tmp_path / "x.npy", None, None)
    assert image.shape == (1, 3, 4)
    assert image.max() == pytest.approx(brightest)


def test_image_of_one_value_has_no_range_and_is_black(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 4), 7.0))
    assert (read_image(tmp_path / "x.npy", None, None) == 0).all()


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "CMYK"])
def test_palette_or_transparency_is_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new(mode, (16, 16)).save(path)
    with pytest.raises(DataError, match=f"colour mode {mode}") as caught:
        read_image(path, None, None)
    assert caught.value.code == DataError.UNREADABLE
    assert "without transparency" in caught.value.mend


def test_image_with_nan_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 4), np.nan))
    with pytest.raises(DataError, match="NaN"):
        read_image(tmp_path / "x.npy", None, None)


@pytest.mark.parametrize("shape", [(), (9,), (0, 4), (2, 2, 2, 2)])
def test_array_that_is_no_image_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match="two or three spatial dimensions") as caught:
        read_image(tmp_path / "x.npy", 16, None)
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
        read_image(tmp_path / name, None, None)
    assert caught.value.code == DataError.UNREADABLE
    assert not (tmp_path / "sprung").exists()
