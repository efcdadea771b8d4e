"""Rules of reading MedMNIST-style files: whatever is wrong, one clear error."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.data.npz import read_npz
from strategies.errors import DataError


def refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_npz(path)
    assert str(path) in caught.value.found
    return caught.value


def arrays_in(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return dict(archive)


def test_splits_are_read_under_their_own_names(phantom_npz: Path) -> None:
    raw, arrays = arrays_in(phantom_npz), read_npz(phantom_npz)
    assert list(arrays) == ["train", "validation", "test"]
    np.testing.assert_array_equal(arrays["validation"][0], raw["val_images"])
    np.testing.assert_array_equal(arrays["test"][1], raw["test_labels"][:, 0])


def test_compressed_file_is_read_too(phantom_npz: Path, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "z.npz", **arrays_in(phantom_npz))
    np.testing.assert_array_equal(
        read_npz(tmp_path / "z.npz")["train"][0], read_npz(phantom_npz)["train"][0]
    )


def test_missing_file_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path / "none.npz")
    assert error.code == DataError.MISSING
    assert "relative paths start at that file" in error.mend
    assert refused(tmp_path).code == DataError.MISSING


@pytest.mark.parametrize("key", ["train_images", "val_labels", "test_images"])
def test_missing_array_is_named(phantom_npz: Path, tmp_path: Path, key: str) -> None:
    arrays = arrays_in(phantom_npz)
    del arrays[key]
    np.savez(tmp_path / "x.npz", **arrays)
    error = refused(tmp_path / "x.npz")
    assert error.code == DataError.UNREADABLE
    assert f"lacks the array {key}" in error.found


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_file_is_refused(phantom_npz: Path, tmp_path: Path, share: float) -> None:
    data = phantom_npz.read_bytes()
    path = tmp_path / "cut.npz"
    path.write_bytes(data[: int(share * len(data))])
    error = refused(path)
    assert error.code == DataError.UNREADABLE
    assert "copy or download the file again" in error.mend


@pytest.mark.parametrize("content", [b"not an archive", b"PK\x03\x04", b"\x93NUMPY", b"\x80\x04."])
def test_file_that_is_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    assert refused(path).code == DataError.UNREADABLE


def test_single_array_under_the_name_of_an_archive_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    shutil.move(tmp_path / "x.npy", tmp_path / "x.npz")
    assert refused(tmp_path / "x.npz").code == DataError.UNREADABLE


def test_array_of_pickled_objects_is_refused_and_never_unpickled(
    phantom_npz: Path, tmp_path: Path
) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    arrays = arrays_in(phantom_npz)
    np.savez(tmp_path / "x.npz", **arrays | {"train_labels": np.array([Trap()], dtype=object)})
    assert refused(tmp_path / "x.npz").code == DataError.UNREADABLE
    assert not (tmp_path / "sprung").exists()


def test_array_of_text_is_refused(phantom_npz: Path, tmp_path: Path) -> None:
    labels = np.array(["cyst"] * 80)
    np.savez(tmp_path / "x.npz", **arrays_in(phantom_npz) | {"train_labels": labels})
    error = refused(tmp_path / "x.npz")
    assert error.code == DataError.UNREADABLE
    assert "train" in error.found


def test_images_and_labels_of_different_number_are_refused(
    phantom_npz: Path, tmp_path: Path
) -> None:
    images = np.zeros((79, 16, 16), np.uint8)
    np.savez(tmp_path / "x.npz", **arrays_in(phantom_npz) | {"train_images": images})
    error = refused(tmp_path / "x.npz")
    assert error.code == DataError.SHAPE
    assert "79 train images, 80 labels" in error.found


def packed_file() -> bytes:
    arrays = {
        f"{split}_{kind}": np.arange(12, dtype=np.uint8)
        for split in ("train", "val", "test")
        for kind in ("images", "labels")
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


PACKED = packed_file()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.integers(0, len(PACKED) - 1), value=st.integers(0, 255))
def test_damaged_file_gives_arrays_or_one_clear_error(
    tmp_path: Path, position: int, value: int
) -> None:
    path = tmp_path / "damaged.npz"
    path.write_bytes(PACKED[:position] + bytes([value]) + PACKED[position + 1 :])
    try:
        arrays = read_npz(path)
    except DataError:
        return
    assert set(arrays) == {"train", "validation", "test"}


# ---- types of pixels and labels ------------------------------------------------------------------


def changed(source: Path, path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays_in(source) | arrays)
    return path


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8"])
def test_fractions_of_any_precision_and_byte_order_are_read(
    phantom_npz: Path, tmp_path: Path, dtype: str
) -> None:
    fractions = np.random.default_rng(0).random((80, 16, 16)).astype(dtype)
    path = changed(phantom_npz, tmp_path / "x.npz", train_images=fractions)
    images = read_npz(path)["train"].images
    assert images.dtype == np.float32 and images.dtype.isnative
    np.testing.assert_allclose(images, fractions, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int64, np.int8, bool])
def test_pixels_of_another_type_are_refused(
    phantom_npz: Path, tmp_path: Path, dtype: type[np.generic]
) -> None:
    images = np.ones((80, 16, 16), dtype)
    error = refused(changed(phantom_npz, tmp_path / "x.npz", train_images=images))
    assert error.code == DataError.UNREADABLE
    assert f"type {np.dtype(dtype)}, from 1 to 1" in error.found
    assert error.mend == "store uint8 0…255 or floats in [0, 1]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (255.0, "from 0 to 255"),
        (-1.0, "from -1 to 0"),
        (1.002, "from 0 to 1.002"),
        (np.nan, "NaN or infinite"),
        (np.inf, "NaN or infinite"),
    ],
)
def test_fractions_outside_0_to_1_are_refused(
    phantom_npz: Path, tmp_path: Path, value: float, text: str
) -> None:
    images = np.zeros((30, 16, 16))
    images[3, 2, 1] = value
    error = refused(changed(phantom_npz, tmp_path / "x.npz", val_images=images))
    assert error.code == DataError.UNREADABLE
    assert "validation images of type float64" in error.found and text in error.found


def test_rounding_beyond_0_and_1_is_tolerated(phantom_npz: Path, tmp_path: Path) -> None:
    images = np.full((30, 16, 16), 1.0005)
    images[0] = -0.0005
    read_npz(changed(phantom_npz, tmp_path / "x.npz", val_images=images))


@pytest.mark.parametrize("dtype", [">i4", np.uint8, np.float64, bool])
@pytest.mark.parametrize("shape", [(30,), (30, 1)])
def test_whole_labels_of_any_type_come_out_flat(
    phantom_npz: Path, tmp_path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    labels = (np.arange(30) % 2).astype(dtype).reshape(shape)
    path = changed(phantom_npz, tmp_path / "x.npz", val_labels=labels)
    read = read_npz(path)["validation"].targets
    assert read.dtype == np.int64 and read.dtype.isnative
    assert read.tolist() == [0, 1] * 15


@pytest.mark.parametrize("shape", [(30, 4), (30, 0), (30, 1, 1)])
def test_rows_of_labels_are_refused(
    phantom_npz: Path, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    labels = np.zeros(shape, np.uint8)
    error = refused(changed(phantom_npz, tmp_path / "x.npz", val_labels=labels))
    assert error.code == DataError.SHAPE
    assert str(shape) in error.found
    assert "one-hot" in error.mend


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_labels_that_are_no_whole_numbers_are_refused(
    phantom_npz: Path, tmp_path: Path, value: float
) -> None:
    labels = np.full(30, value)
    error = refused(changed(phantom_npz, tmp_path / "x.npz", val_labels=labels))
    assert error.code == DataError.UNREADABLE
    assert "no whole numbers" in error.found


# ---- the cache -----------------------------------------------------------------------------------


def test_file_is_decoded_once_until_it_is_written_again(
    phantom_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[object] = []
    load = np.load
    monkeypatch.setattr(np, "load", lambda *a, **k: decoded.append(a) or load(*a, **k))
    first, again = read_npz(phantom_npz), read_npz(phantom_npz)
    assert len(decoded) == 1
    assert first["train"][0] is again["train"][0]
    del first["train"]
    assert "train" in read_npz(phantom_npz)
    with np.load(phantom_npz) as archive:
        arrays = dict(archive)
    arrays["train_labels"][:] = 0
    np.savez(phantom_npz, **arrays, note=np.zeros(1))
    assert set(read_npz(phantom_npz)["train"][1]) == {0}
