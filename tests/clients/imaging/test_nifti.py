"""NIfTI is read voxel for voxel, its axes towards RAS; what is no volume is refused."""

from __future__ import annotations

import gzip
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Image

from clients.imaging.nifti import is_nifti, read_mask, read_nifti
from clients.imaging.reading import read_volume
from strategies.errors import DataError
from tests.support.dicom_series import affine_of

ARRAY = np.random.default_rng(4).integers(-900, 3000, (5, 6, 7)).astype(np.int16)


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    image = Nifti1Image(array, affine_of() if affine is None else affine)
    nib.save(image, path)
    return path


def refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_volume(path)
    assert caught.value.code == DataError.UNREADABLE
    assert str(path) in caught.value.found
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("degrees", [0, 20])
def test_axes_lead_right_anterior_superior(tmp_path: Path, suffix: str, degrees: float) -> None:
    straight = affine_of(degrees=degrees)
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((1, -1), repeat=3):
            turns = np.column_stack([order, flips])
            array = nib.apply_orientation(ARRAY, nib.io_orientation(np.eye(4)))
            array = nib.apply_orientation(array, turns)
            affine = straight @ nib.orientations.inv_ornt_aff(turns, ARRAY.shape)
            path = save(tmp_path / f"x{suffix}", array, affine)
            volume = read_nifti(path)
            np.testing.assert_array_equal(volume.values[0], ARRAY)
            assert volume.affine is not None and volume.values.dtype == np.int16
            np.testing.assert_allclose(volume.affine, straight, atol=1e-4)
            np.testing.assert_array_equal(volume.earlier[0][0], array)


@pytest.mark.parametrize("kind", ["u1", "i2", ">i2", "u2", "f4", ">f4", "f8"])
@pytest.mark.parametrize("form", [Nifti1Image, Nifti2Image])
def test_every_type_keeps_its_numbers(tmp_path: Path, kind: str, form: Any) -> None:
    array = (np.abs(ARRAY) % 200).astype(np.dtype(kind).newbyteorder("="))
    header = form.header_class(endianness=">" if kind[0] == ">" else "<")
    header.set_data_dtype(array.dtype)
    path = tmp_path / "x.nii"
    nib.save(form(array, affine_of(), header), path)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.values[0], array)
    assert volume.values.dtype == array.dtype and volume.values.dtype.isnative


def test_scale_of_the_header_is_applied(tmp_path: Path) -> None:
    image = Nifti1Image(ARRAY, affine_of())
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "x.nii.gz")
    raw = np.asanyarray(nib.load(tmp_path / "x.nii.gz").dataobj)
    np.testing.assert_array_equal(read_nifti(tmp_path / "x.nii.gz").values[0], raw)
    assert raw.dtype.kind == "f"


def test_form_is_known_without_a_suffix(tmp_path: Path) -> None:
    save(tmp_path / "x.nii", ARRAY).rename(tmp_path / "x")
    assert is_nifti(tmp_path / "x")
    np.testing.assert_array_equal(read_volume(tmp_path / "x").values[0], ARRAY)
    (tmp_path / "y").write_bytes(b"n+1")
    assert not is_nifti(tmp_path / "y")


def test_axes_of_length_one_behind_the_third_are_dropped(tmp_path: Path) -> None:
    volume = read_nifti(save(tmp_path / "x.nii", ARRAY[..., None, None]))
    np.testing.assert_array_equal(volume.values[0], ARRAY)
    assert read_nifti(save(tmp_path / "y.nii", ARRAY[..., :1])).values.shape == (1, 5, 6, 1)


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_image_of_two_axes_stays_one(tmp_path: Path, order: tuple[int, int, int]) -> None:
    affine = affine_of(degrees=10)[:, [*order, 3]]
    volume = read_nifti(save(tmp_path / "x.nii", ARRAY[..., 0], affine))
    assert volume.affine is not None
    first, second = order[:2]
    swapped = first > second
    expected = ARRAY[..., 0].T if swapped else ARRAY[..., 0]
    np.testing.assert_array_equal(volume.values[0], expected)
    place = affine @ [2, 3, 0, 1]
    index = [3, 2, 0, 1] if swapped else [2, 3, 0, 1]
    np.testing.assert_allclose(volume.affine @ index, place, atol=1e-4)


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_file_that_is_cut_off_is_refused_wherever(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"x{suffix}", ARRAY)
    content = path.read_bytes()
    for length in [0, 3, 100, 347, 351, 352, *range(360, len(content), 37), len(content) - 1]:
        if length < len(content):
            path.write_bytes(content[:length])
            refused(path)


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "x.nii.gz", ARRAY)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # of the checksum
    path.write_bytes(content)
    assert "cannot be decoded (BadGzipFile)" in refused(path).found
    path.write_bytes(gzip.compress(b"\0" * 4000))
    refused(path)
    path.write_text("no image")
    refused(path)


def test_header_that_asks_for_more_than_there_is(tmp_path: Path) -> None:
    image = Nifti1Image(ARRAY, affine_of())
    path = tmp_path / "x.nii"
    nib.save(image, path)
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([32000] * 3, "<i2").tobytes()
    path.write_bytes(content)
    assert "is truncated" in refused(path).found


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.stack([ARRAY, ARRAY], -1), "several frames"),
        (np.zeros((4, 4, 4, 1, 2), np.uint8), "several frames"),
        (ARRAY.astype(np.complex64), "colours or complex numbers"),
        (np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "colours or complex"),
        (np.where(ARRAY.max() == ARRAY, np.nan, ARRAY).astype(np.float32), "NaN or infinite"),
        (np.where(ARRAY.max() == ARRAY, np.inf, ARRAY), "NaN or infinite"),
        (ARRAY[:, 0, 0], "axes of lengths"),
    ],
)
def test_what_is_no_volume_of_real_numbers(tmp_path: Path, array: np.ndarray, found: str) -> None:
    assert found in refused(save(tmp_path / "x.nii.gz", array)).found


@pytest.mark.parametrize("flat", [np.diag([1.0, 0, 1, 1]), np.full((4, 4), np.nan)])
def test_affine_that_flattens_voxels(tmp_path: Path, flat: np.ndarray) -> None:
    image = Nifti1Image(ARRAY, affine_of())
    image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = flat[:3]
    image.header["sform_code"], image.header["qform_code"] = 2, 0
    path = tmp_path / "x.nii"
    path.write_bytes(image.header.binaryblock + bytes(4) + ARRAY.tobytes())
    content = bytearray(path.read_bytes())
    content[344:348], content[108:112] = b"n+1\0", np.float32(352).tobytes()
    content[40:48] = np.array([3, 5, 6, 7], "<i2").tobytes()
    path.write_bytes(content)
    assert "an affine that leads nowhere" in refused(path).found


def test_without_nibabel_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "x.nii", ARRAY)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    error = refused(path)
    assert "nibabel is not installed" in error.found
    assert error.mend == "pip install 'srflm-flower[imaging]'"


@given(st.lists(st.tuples(st.integers(0, 355), st.integers(0, 255)), max_size=4))
def test_whatever_the_header_says_the_file_is_read_or_refused(
    bytes_: list[tuple[int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder) / "x.nii", ARRAY)
        content = bytearray(path.read_bytes())
        for at, byte in bytes_:
            content[at] = byte
        path.write_bytes(content)
        try:
            volume = read_nifti(path)
        except DataError as error:
            assert error.code == DataError.UNREADABLE
        else:
            assert volume.values.ndim in (3, 4) and np.isfinite(volume.values).all()


# ---- masks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_mask_is_whole_numbers(tmp_path: Path, kind: type) -> None:
    labels = (np.abs(ARRAY) % 3).astype(kind)
    mask = read_mask(save(tmp_path / "x.nii.gz", labels))
    assert mask.values.dtype == np.int32 and mask.affine is not None
    np.testing.assert_array_equal(mask.values[0], labels)


@pytest.mark.parametrize(
    ("number", "found"), [(0.5, "are not whole"), (1e12, "beyond"), (-1e12, "beyond")]
)
def test_mask_of_other_numbers_is_refused(tmp_path: Path, number: float, found: str) -> None:
    labels = np.zeros((4, 4, 4))
    labels[1, 2, 3] = number
    with pytest.raises(DataError, match=found):
        read_mask(save(tmp_path / "x.nii.gz", labels))
