"""Rules of reading a DICOM file: how its pixels may be stored, and what is refused."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import (
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)

from clients.imaging.decoding import is_dicom
from clients.imaging.dicom import read_dicom
from strategies.errors import DataError
from tests.support.dicom_files import (
    CANARY,
    HU,
    RAMP,
    compress,
    stored_by_ge,
    write_dicom,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.dcm"


def refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_dicom(path)
    assert caught.value.code == DataError.UNREADABLE
    return caught.value


# ---- how they are stored -------------------------------------------------------------------------


def test_big_endian_is_read(path: Path) -> None:
    stored, elements = stored_by_ge(HU)
    write_dicom(path, stored, ExplicitVRBigEndian, **elements)
    np.testing.assert_array_equal(read_dicom(path).values[0], HU)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("colour", [False, True])
def test_compressed_pixels_are_read(path: Path, syntax: str, colour: bool) -> None:
    pixels = np.random.default_rng(2).integers(0, 200, (32, 48, 3), np.uint8)
    stored = pixels if colour else pixels[..., 0].astype(np.uint16)
    image = read_dicom(compress(write_dicom(path, stored), syntax))
    np.testing.assert_array_equal(image.stored, np.moveaxis(stored, -1, 0) if colour else [stored])


def test_file_is_known_by_its_suffix_or_its_first_bytes(tmp_path: Path) -> None:
    for name in ("a.dcm", "a.DICOM", "a.Ima"):
        (tmp_path / name).write_bytes(b"")
        assert is_dicom(tmp_path / name)
    assert is_dicom(write_dicom(tmp_path / "IM0001", RAMP.astype(np.int16)))
    (tmp_path / "text").write_text("DICM" * 40)
    (tmp_path / "short").write_text("DICM")
    assert is_dicom(tmp_path / "text") and not is_dicom(tmp_path / "short")


def test_deflated_header_is_read(path: Path) -> None:
    stored, elements = stored_by_ge(HU)
    write_dicom(path, stored, DeflatedExplicitVRLittleEndian, **elements)
    np.testing.assert_array_equal(read_dicom(path).values[0], HU)


# ---- what is refused -----------------------------------------------------------------------------


def test_file_that_is_no_dicom_is_refused(path: Path) -> None:
    path.write_text("no image")
    assert "is no DICOM file" in refused(path).found


def test_file_that_is_cut_off_is_refused_wherever(path: Path) -> None:
    content = write_dicom(path, RAMP.astype(np.int16)).read_bytes()
    found = set()
    for length in [*range(132, len(content) - 1, 97), len(content) - 1]:
        path.write_bytes(content[:length])
        found.add(re.split("[(:,]", refused(path).found.removeprefix(str(path)))[0].strip())
    assert {"is truncated", "has no pixel data"} <= found
    assert found <= {"is truncated", "has no pixel data", "cannot be decoded"}


def test_compressed_file_that_is_cut_off_is_refused(path: Path) -> None:
    content = compress(write_dicom(path, RAMP.astype(np.int16)), RLELossless).read_bytes()
    path.write_bytes(content[:-40])
    assert "truncated" in refused(path).found


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"PixelData": None}, "has no pixel data"),
        ({"NumberOfFrames": "2"}, "has 2 frame(s)"),
        ({"SharedFunctionalGroupsSequence": []}, "in a multi-frame form"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "a palette"),
        ({"PhotometricInterpretation": "RGB"}, "1 values a pixel"),
        ({"RescaleIntercept": None}, "does not say how its numbers become Hounsfield units"),
        ({"RescaleType": "Z_EFF"}, "does not say how its numbers become Hounsfield units"),
        ({"RescaleSlope": CANARY}, "cannot be decoded"),
        ({"Rows": None}, "cannot be decoded"),
    ],
    ids=str,
)
def test_what_is_no_single_image_is_refused(
    path: Path, changes: dict[str, Any], found: str
) -> None:
    error = refused(write_dicom(path, RAMP.astype(np.int16), **changes))
    assert found in error.found and str(path) in error.found


@pytest.mark.parametrize("syntax", [MPEG4HP41, "1.2.3.4.5"])
def test_form_that_nothing_decodes_is_refused(path: Path, syntax: str) -> None:
    error = refused(write_dicom(path, RAMP.astype(np.int16), syntax))
    assert "nothing installed here decodes" in error.found
    assert "1.2.3.4.5" not in error.found
    assert "srflm-flower[imaging]" in error.mend


def test_without_a_decoder_its_form_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels import get_decoder

    write_dicom(path, RAMP.astype(np.int16), JPEGLosslessSV1)
    monkeypatch.setattr(get_decoder(JPEGLosslessSV1), "_available", {})
    assert "JPEG Lossless" in refused(path).found


def test_without_pydicom_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dicom(path, RAMP.astype(np.int16))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    error = refused(path)
    assert "pydicom is not installed" in error.found
    assert error.mend == "pip install 'srflm-flower[imaging]'"
