"""Rules of reading a folder with one sub-folder of images per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import clients.data.folder as folder_module
from clients.data.folder import read_folder, read_image
from clients.data.npz import Arrays
from clients.settings import SplitSettings
from strategies.errors import DataError

CLASSES = ("cyst", "solid")


def write_images(folder: Path, name: str, count: int, size: tuple[int, int] = (16, 16)) -> None:
    rng = np.random.default_rng(len(name))
    (folder / name).mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(0, 256, size, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name / f"{number}.png")


def read(folder: Path, image_size: int | None = None, seed: int = 0) -> Arrays:
    return read_folder(folder, CLASSES, image_size, SplitSettings(), b"%d" % seed)


def refused(folder: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read(folder)
    return caught.value


def test_class_folders_are_divided(tmp_path: Path) -> None:
    write_images(tmp_path, "solid", 12)
    write_images(tmp_path, "cyst", 8)
    arrays = read(tmp_path)
    count = len(arrays["train"].targets)
    assert 8 <= count <= 16 and all(len(each.targets) for each in arrays.values())
    together = np.concatenate([each.targets for each in arrays.values()])
    assert np.bincount(together).tolist() == [8, 12]
    images = arrays["train"].images
    assert images.shape == (count, 1, 16, 16)
    assert images.dtype == np.float32
    assert 0 <= images.min() < images.max() <= 1


def test_division_follows_from_the_key(tmp_path: Path) -> None:
    write_images(tmp_path, "solid", 12)
    write_images(tmp_path, "cyst", 8)
    first, same, other = (read(tmp_path, seed=seed)["train"][0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("place", ["solid/new.png", "cyst/0new.png", "solid/patient/new.png"])
def test_another_image_moves_no_image_to_another_split(tmp_path: Path, place: str) -> None:
    write_images(tmp_path, "solid", 30)
    write_images(tmp_path, "cyst", 20)
    before = {split: set(each.records) for split, each in read(tmp_path).items()}
    (tmp_path / place).parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(77).integers(0, 256, (16, 16), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / place)
    after = {split: set(each.records) for split, each in read(tmp_path).items()}
    assert all(before[split] <= after[split] for split in before)
    assert sum(map(len, after.values())) == 51


def test_folders_of_splits_are_taken_as_they_stand(tmp_path: Path) -> None:
    for split, count in (("train", 5), ("val", 3), ("test", 2)):
        write_images(tmp_path / split, "cyst", count)
        write_images(tmp_path / split, "solid", 1)
    arrays = read(tmp_path)
    assert {split: each.targets.tolist() for split, each in arrays.items()} == {
        "train": [0] * 5 + [1],
        "validation": [0] * 3 + [1],
        "test": [0] * 2 + [1],
    }


def test_labels_follow_the_agreed_class_order_even_when_a_class_is_missing(tmp_path: Path) -> None:
    write_images(tmp_path, "solid", 10)
    assert set(read(tmp_path)["train"][1]) == {1}


def test_hidden_files_are_ignored(tmp_path: Path) -> None:
    write_images(tmp_path, "cyst", 10)
    (tmp_path / "cyst" / ".DS_Store").write_bytes(b"x")
    assert sum(len(each.targets) for each in read(tmp_path).values()) == 10


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path / "none")
    assert error.code == DataError.MISSING
    assert "correct the vendor's path" in error.mend


def test_folder_of_an_unknown_class_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path, "cyst", 2)
    write_images(tmp_path, "abscess", 2)
    error = refused(tmp_path)
    assert error.code == DataError.LABELS_OUTSIDE_CLASSES
    assert "abscess" in error.found
    assert "cyst, solid" in error.expected


def test_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    assert "(none)" in refused(tmp_path).found


@pytest.mark.parametrize("name", ["notes.txt", "broken.png"])
def test_file_that_is_no_image_is_named(tmp_path: Path, name: str) -> None:
    write_images(tmp_path, "cyst", 2)
    (tmp_path / "cyst" / name).write_bytes(b"\x89PNG no image")
    error = refused(tmp_path)
    assert error.code == DataError.UNREADABLE
    assert name in error.found
    assert "remove the file" in error.mend


def test_images_of_different_shapes_need_an_image_size(tmp_path: Path) -> None:
    write_images(tmp_path, "cyst", 5)
    write_images(tmp_path, "solid", 5, size=(20, 18))
    error = refused(tmp_path)
    assert error.code == DataError.SHAPE
    assert "data.image-size" in error.mend
    assert read(tmp_path, image_size=16)["train"][0].shape[1:] == (1, 16, 16)


def test_colour_images_have_their_channels_first(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[..., 1] = 200
    Image.fromarray(pixels).save(tmp_path / "green.png")
    image = read_image(tmp_path / "green.png", None)
    assert image.shape == (3, 20, 30)
    np.testing.assert_allclose(image[1], 200 / 255, rtol=1e-6)


def test_volumes_in_numpy_files_are_read(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(8, 9, 10)).astype(np.float32)
    np.save(tmp_path / "volume.npy", volume)
    assert read_image(tmp_path / "volume.npy", None).shape == (1, 8, 9, 10)
    assert read_image(tmp_path / "volume.npy", 16).shape == (1, 16, 16, 16)


# ---- one image -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.PNG"])
def test_bytes_keep_their_place_and_their_scale(tmp_path: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(40, 90, (9, 14), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / name)
    image = read_image(tmp_path / name, None)
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
    np.testing.assert_allclose(read_image(path, None), (pixels[None] - 100.0) / 1000, atol=1e-3)


def test_bytes_in_numpy_files_are_scaled_as_in_archives(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 4), 51, np.uint8))
    np.testing.assert_allclose(read_image(tmp_path / "x.npy", None), 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "brightest"), [(np.uint8, 110 / 255), (np.uint16, 1), (">i2", 1), (np.float64, 1)]
)
def test_other_formats_are_scaled_by_the_type_that_monai_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, brightest: float
) -> None:
    monkeypatch.setattr(folder_module, "_NUMPY_SUFFIXES", set())  # as MONAI reads without itk
    np.save(tmp_path / "x.npy", np.arange(0, 120, 10).reshape(3, 4).astype(dtype))
    image = read_image(tmp_path / "x.npy", None)
    assert image.shape == (1, 3, 4)
    assert image.max() == pytest.approx(brightest)


def test_image_of_one_value_has_no_range_and_is_black(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 4), 7.0))
    assert (read_image(tmp_path / "x.npy", None) == 0).all()


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "CMYK"])
def test_palette_or_transparency_is_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new(mode, (16, 16)).save(path)
    with pytest.raises(DataError, match=f"colour mode {mode}") as caught:
        read_image(path, None)
    assert caught.value.code == DataError.UNREADABLE
    assert "without transparency" in caught.value.mend


def test_image_with_nan_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 4), np.nan))
    with pytest.raises(DataError, match="NaN"):
        read_image(tmp_path / "x.npy", None)


@pytest.mark.parametrize("shape", [(), (9,), (0, 4), (2, 2, 2, 2)])
def test_array_that_is_no_image_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match="two or three spatial dimensions") as caught:
        read_image(tmp_path / "x.npy", 16)
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
        read_image(tmp_path / name, None)
    assert caught.value.code == DataError.UNREADABLE
    assert not (tmp_path / "sprung").exists()
