"""Rules of what a grey DICOM image's numbers mean: the same HU whoever made the scanner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.imaging.dicom import DicomImage, read_dicom
from tests.support.dicom_files import HU, MR, RAMP, stored_by_ge, stored_by_toshiba, write_dicom


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.dcm"


def read_mr(path: Path, stored: np.ndarray, **changes: Any) -> DicomImage:
    return read_dicom(write_dicom(path, stored, **{**MR, **changes}))


@pytest.mark.parametrize("maker", [stored_by_ge, stored_by_toshiba])
def test_hu_are_the_same_of_every_maker_and_upright(path: Path, maker: Any) -> None:
    stored, elements = maker(HU)
    image = read_dicom(write_dicom(path, stored, **elements))
    assert image.kind == "hounsfield" and image.values.dtype == np.float32
    np.testing.assert_array_equal(image.values, HU[None])
    np.testing.assert_array_equal(image.stored, stored[None])


@pytest.mark.parametrize(("slope", "intercept"), [("0.5", "-1000.25"), ("2", "10"), ("1e-1", "0")])
def test_rescale_is_exact(path: Path, slope: str, intercept: str) -> None:
    elements = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    image = read_dicom(write_dicom(path, RAMP.astype(np.uint16), **elements))
    expected = (RAMP * float(slope) + float(intercept)).astype(np.float32)
    np.testing.assert_array_equal(image.values[0], expected)
    assert image.rescale == (float(slope), float(intercept))


def test_whatever_lies_below_air_in_ct_is_air(path: Path) -> None:
    stored, elements = stored_by_ge(HU)
    stored[0] = -2000  # padding: −3024 HU
    stored[1] = -7
    image = read_dicom(write_dicom(path, stored, **elements))
    assert (image.values[0, :2] == -1024).all()
    np.testing.assert_array_equal(image.values[0, 2:], HU[2:])
    assert (image.stored[0, 0] == -2000).all()


@pytest.mark.parametrize(
    ("value", "limit", "padded"), [(1, None, [1]), (1, 3, [1, 2, 3]), (3, 1, [1, 2, 3])]
)
def test_padding_in_ct_is_air_and_elsewhere_the_lowest_measured_value(
    path: Path, value: int, limit: int | None, padded: list[int]
) -> None:
    elements = {"PixelPaddingValue": value}
    if limit is not None:
        elements["PixelPaddingRangeLimit"] = limit
    stored = RAMP.astype(np.uint16)
    is_padded = np.isin(RAMP, padded)
    ct = read_dicom(write_dicom(path, stored, RescaleIntercept="0", **elements)).values[0]
    assert (ct[is_padded] == -1024).all()
    np.testing.assert_array_equal(ct[~is_padded], RAMP[~is_padded])
    mr = read_mr(path, stored + np.uint16(10), **{k: v + 10 for k, v in elements.items()})
    assert (mr.values[0][is_padded] == 10).all()
    np.testing.assert_array_equal(mr.values[0][~is_padded], RAMP[~is_padded] + 10)


def test_padding_value_of_the_other_sign_has_the_same_bits(path: Path) -> None:
    stored, elements = stored_by_ge(HU + 4000)
    stored[0] = -2000
    write_dicom(path, stored, **elements)
    # As if the header said 63536: value representation US in the place of SS.
    content = path.read_bytes()
    at = content.index(b"\x28\x00\x20\x01SS")
    path.write_bytes(content[: at + 4] + b"US" + content[at + 6 :])
    np.testing.assert_array_equal(read_dicom(path).values[0, 0], -1024)


def test_image_of_nothing_but_padding_stays(path: Path) -> None:
    image = read_mr(path, np.full((4, 4), 7, np.uint16), PixelPaddingValue=7)
    assert (image.values == 7).all()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16])
def test_inverted_images_are_bright_where_others_are(path: Path, kind: type) -> None:
    stored = RAMP.astype(kind) - kind(20 if kind is np.int16 else 0)
    elements: dict[str, Any] = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 7}
    image = read_mr(path, stored, **elements)
    ends = 127 if kind is not np.int16 else -1
    np.testing.assert_array_equal(image.values[0], ends - stored.astype(int))
    np.testing.assert_array_equal(image.stored[0], stored)
    assert image.values.dtype == (np.uint8 if kind is np.uint8 else np.float32)
    rescaled = read_mr(path, stored, RescaleSlope="2", RescaleIntercept="5", **elements)
    np.testing.assert_array_equal(rescaled.values[0], 2 * (ends - stored.astype(int)) + 5)


def test_hu_are_never_inverted(path: Path) -> None:
    stored, elements = stored_by_toshiba(HU)
    elements["PhotometricInterpretation"] = "MONOCHROME1"
    np.testing.assert_array_equal(read_dicom(write_dicom(path, stored, **elements)).values[0], HU)


def test_bytes_without_a_rescale_stay_bytes(path: Path) -> None:
    stored = RAMP.astype(np.uint8)
    assert read_mr(path, stored).values.dtype == np.uint8
    same = read_mr(path, stored, RescaleSlope="1", RescaleIntercept="0")
    assert same.values.dtype == np.uint8 and same.rescale == (1, 0)
    assert read_mr(path, stored, RescaleSlope="1", RescaleIntercept="1").values.max() == 54


def test_colours_come_first(path: Path) -> None:
    stored = np.random.default_rng(1).integers(0, 256, (6, 9, 3), np.uint8)
    image = read_mr(path, stored)
    assert image.kind == "picture" and image.values.dtype == np.uint8
    np.testing.assert_array_equal(image.values, np.moveaxis(stored, -1, 0))


@pytest.mark.parametrize("unit", ["HU", "Houndsfield Unit", "US", ""])
def test_units_by_which_makers_mean_hounsfield(path: Path, unit: str) -> None:
    stored, elements = stored_by_ge(HU)
    image = read_dicom(write_dicom(path, stored, **{**elements, "RescaleType": unit}))
    np.testing.assert_array_equal(image.values[0], HU)
