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
from srflm_flower.errors import DataError


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
    np.testing.assert_array_equal(arrays["test"][1], raw["test_labels"])


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
