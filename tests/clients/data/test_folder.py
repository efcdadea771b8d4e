"""Rules of reading a folder with one sub-folder of images per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clients.data.folder import read_folder
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
    assert "`data` in site.toml" in error.mend


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
