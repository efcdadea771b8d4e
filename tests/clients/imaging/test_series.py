"""A DICOM series is the array that it was written from, voxel for voxel, in whatever order."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import highdicom
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, JPEG2000Lossless, RLELossless

from clients.imaging.index import Series
from clients.imaging.orientation import LPS_TO_RAS, turned_to_ras
from clients.imaging.series import read_series
from tests.support.dicom_files import HU, compress, stored_by_ge
from tests.support.dicom_series import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    affine_of,
    series_in,
    slices_of,
    write_series,
)

ARRAY = np.random.default_rng(8).integers(0, 4000, (5, 6, 7)).astype(np.uint16)
CT = {
    "SOPClassUID": CTImageStorage,
    "Modality": "CT",
    "RescaleSlope": "1",
    "RescaleIntercept": "-1024",
    "RescaleType": "HU",
}


@pytest.mark.parametrize("axes", [AXIAL, CORONAL, SAGITTAL], ids=["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("degrees", [0, 17, 70])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_series_is_the_array_it_was_written_from(
    tmp_path: Path, axes: tuple[int, int, int], degrees: float, flips: tuple[int, int, int]
) -> None:
    affine = affine_of(degrees=degrees, flips=flips)
    write_series(tmp_path, slices_of(ARRAY, affine, axes))
    volume = read_series(series_in(tmp_path))
    (expected,), expected_affine = turned_to_ras((ARRAY,), affine)
    np.testing.assert_array_equal(volume.values[0], expected)
    np.testing.assert_array_equal(volume.stored[0], expected)
    assert volume.affine is not None and volume.kind == "numbers"
    np.testing.assert_allclose(volume.affine, expected_affine, atol=1e-3)


def test_geometry_is_that_of_highdicom(tmp_path: Path) -> None:
    write_series(tmp_path, slices_of(ARRAY, affine_of(degrees=20), SAGITTAL))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the canary
        oracle = highdicom.get_volume_from_series([dcmread(each) for each in tmp_path.iterdir()])
    (expected,), affine = turned_to_ras((oracle.array,), LPS_TO_RAS @ oracle.affine)
    volume = read_series(series_in(tmp_path))
    assert volume.affine is not None
    np.testing.assert_array_equal(volume.values[0], expected)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-9)


@settings(max_examples=15)
@given(order=st.permutations(range(5)), listed=st.permutations(range(5)))
def test_any_order_of_files_gives_the_same_volume(order: list[int], listed: list[int]) -> None:
    array, affine = ARRAY[..., :5], affine_of(degrees=30)
    (expected,), expected_affine = turned_to_ras((array,), affine)
    with tempfile.TemporaryDirectory() as folder:
        series = series_in(write_series(Path(folder), slices_of(array, affine), order=order))
        volume = read_series(Series(tuple(series.headers[at] for at in listed)))
    np.testing.assert_array_equal(volume.values[0], expected)
    assert volume.affine is not None
    np.testing.assert_allclose(volume.affine, expected_affine, atol=1e-6)


# ---- what the numbers mean -----------------------------------------------------------------------


def test_ct_is_in_hounsfield_units_and_padding_is_air(tmp_path: Path) -> None:
    hu = np.stack([HU, HU + 1, HU + 2], axis=-1)
    stored, elements = stored_by_ge(hu)
    stored[0] = -2000
    write_series(tmp_path, slices_of(stored, affine_of()), **{**CT, **elements})
    volume = read_series(series_in(tmp_path))
    assert volume.kind == "hounsfield" and volume.values.dtype == np.float32
    assert (volume.values[0, 0] == -1024).all() and (volume.stored[0, 0] == -2000).all()
    np.testing.assert_array_equal(volume.values[0, 1:], hu[1:])


def test_slices_may_have_scales_of_their_own(tmp_path: Path) -> None:
    slices = slices_of(ARRAY, affine_of())
    for number, (_, elements) in enumerate(slices):
        elements |= {"RescaleSlope": f"0.{number + 1}", "RescaleIntercept": str(-number)}
    write_series(tmp_path, slices)
    slope = np.array([float(f"0.{number + 1}") for number in range(7)])
    expected = (ARRAY * slope - np.arange(7)).astype(np.float32)
    np.testing.assert_array_equal(read_series(series_in(tmp_path)).values[0], expected)


def test_padding_has_the_lowest_value_of_the_whole_volume(tmp_path: Path) -> None:
    array = ARRAY + np.uint16(10)
    array[0, 0] = 3
    write_series(tmp_path, slices_of(array, affine_of()), PixelPaddingValue=3)
    values = read_series(series_in(tmp_path)).values[0]
    assert (values[0, 0] == array[array != 3].min()).all()


def test_inverted_slices_are_bright_where_others_are(tmp_path: Path) -> None:
    inverted = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12}
    write_series(tmp_path, slices_of(ARRAY, affine_of()), **inverted)
    values = read_series(series_in(tmp_path)).values[0]
    np.testing.assert_array_equal(values, 4095.0 - ARRAY)


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, RLELossless, JPEG2000Lossless])
def test_every_form_of_storage_gives_the_same(tmp_path: Path, syntax: str) -> None:
    slices = slices_of(np.kron(ARRAY, np.ones((8, 8, 1), np.uint16)), affine_of())
    is_big = syntax == ExplicitVRBigEndian
    write_series(tmp_path, slices, syntax=syntax if is_big else None)
    if not is_big:
        for path in tmp_path.iterdir():
            compress(path, syntax)
    values = read_series(series_in(tmp_path)).values[0]
    np.testing.assert_array_equal(values[::8, ::8], ARRAY)


def test_series_of_one_slice_is_an_upright_image(tmp_path: Path) -> None:
    ((pixels, elements),) = slices_of(ARRAY[..., :1], affine_of(degrees=10))
    write_series(tmp_path, [(pixels, elements)])
    volume = read_series(series_in(tmp_path))
    np.testing.assert_array_equal(volume.values, pixels[None])
    assert volume.affine is not None and volume.spacing == pytest.approx((2, 1))
    corner = affine_of(degrees=10) @ [3, 4, 0, 1]  # of column 3 in row 4
    np.testing.assert_allclose(volume.affine @ [4, 3, 0, 1], corner, atol=1e-6)
