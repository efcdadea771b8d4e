"""What is no volume is refused by one error, with a word of why, and nothing of a patient."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from clients.imaging.header import read_header
from clients.imaging.index import Series, find_series
from clients.imaging.reading import read_volume
from clients.imaging.series import read_series, read_series_in
from strategies.errors import DataError
from tests.support.dicom_files import CANARY
from tests.support.dicom_series import (
    SAGITTAL,
    affine_of,
    series_in,
    slices_of,
    texts,
    write_series,
)

ARRAY = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
Slices = list[tuple[np.ndarray, dict[str, Any]]]


def made() -> Slices:
    return slices_of(ARRAY, affine_of(degrees=25))


def refused(folder: Path, series: Series | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        read_series(series or series_in(folder))
    assert caught.value.code == DataError.UNREADABLE
    assert "series of" in caught.value.found and str(folder) in caught.value.found
    return caught.value


def listed(folder: Path) -> Series:
    """Return all files of a folder as one series, whatever they are."""
    headers = [read_header(path) for path in sorted(folder.iterdir())]
    return Series(tuple(each for each in headers if not isinstance(each, str)))


def moved(slices: Slices, at: int, by: float) -> Slices:
    """Move one slice along the normal, in units of the distance."""
    step = _position(slices[1]) - _position(slices[0])
    slices[at][1]["ImagePositionPatient"] = texts(_position(slices[at]) + by * step)
    return slices


def _position(each: tuple[np.ndarray, dict[str, Any]]) -> np.ndarray:
    return np.array([float(number) for number in each[1]["ImagePositionPatient"]])


def tilted() -> Slices:
    slices = made()
    along = np.array([float(number) for number in slices[0][1]["ImageOrientationPatient"][:3]])
    for number, each in enumerate(slices):
        each[1]["ImagePositionPatient"] = texts(_position(each) + 0.3 * number * along)
    return slices


def reduced() -> Slices:
    slices = made()
    slices[3] = (slices[3][0][:-1], slices[3][1])
    return slices


def turned() -> Slices:
    slices = made()
    return [*slices[:-1], slices_of(ARRAY, affine_of(degrees=29))[-1]]


def spaced() -> Slices:
    slices = made()
    slices[2][1]["PixelSpacing"] = texts([2.1, 1])
    return slices


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: moved(made(), 3, 1), "slices at one position, 1 time(s)"),
        (lambda: [each for at, each in enumerate(made()) if at != 3], "lacks 1 slice(s)"),
        (lambda: [each for at, each in enumerate(made()) if at not in (3, 4)], "lacks 2 slice(s)"),
        (lambda: moved(made(), 3, 0.3), "2.1 to 3.9 mm apart"),
        (tilted, "a tilted gantry"),
        (reduced, "slices of several sizes"),
        (turned, "slices in several orientations"),
        (spaced, "pixels of several sizes"),
        (lambda: [*made(), *slices_of(ARRAY, affine_of(), SAGITTAL)[:1]], "several sizes"),
    ],
)
def test_slices_that_are_no_volume(tmp_path: Path, make: Callable[[], Slices], found: str) -> None:
    write_series(tmp_path, make())
    assert found in refused(tmp_path).found


@pytest.mark.parametrize("count", [2, 7])
def test_tilt_of_less_than_half_a_pixel_is_none(tmp_path: Path, count: int) -> None:
    """Two slices may lie askew by rounding alone; seven of the same tilt are a tilted gantry."""
    write_series(tmp_path, tilted()[:count])
    if count == 2:
        assert read_series(series_in(tmp_path)).values.shape == (1, 5, 6, 2)
    else:
        assert "a tilted gantry" in refused(tmp_path).found


@pytest.mark.parametrize("frame", [None, ""])
def test_without_a_frame_of_reference_there_are_images_and_no_volume(
    tmp_path: Path, frame: str | None
) -> None:
    write_series(tmp_path, made(), FrameOfReferenceUID=frame)
    error = refused(tmp_path)
    assert "no frame of reference" in error.found and "two dimensions" in error.mend
    for path in tmp_path.iterdir():
        assert read_volume(path).values.shape == (1, 6, 5)


@pytest.mark.parametrize(
    ("element", "value", "found"),
    [
        ("ImagePositionPatient", [], "1 slice(s) without a place"),
        ("ImageOrientationPatient", ["1", "0", "0", "1", "0", "0"], "1 slice(s) without a place"),
        ("FrameOfReferenceUID", "1.2.3", "several frames of reference"),
        ("PatientID", "other", "several series, patients, or modalities"),
        ("Modality", "CT", "several series, patients, or modalities"),
        ("NumberOfFrames", "2", "some of many frames"),
        ("RescaleType", "other", None),
    ],
)
def test_one_slice_of_another_kind(
    tmp_path: Path, element: str, value: Any, found: str | None
) -> None:
    slices = made()
    slices[2][1][element] = value
    write_series(tmp_path, slices)
    if found is None:
        assert read_series(series_in(tmp_path)).values.ndim == 4
    else:
        assert found in refused(tmp_path).found


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"SeriesDescription": "3-plane localizer"}, "localizer"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "screenshot"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screenshot"),
        ({"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"]}, "derived"),
        ({"ImageType": ["DERIVED", "PRIMARY", "MPR"]}, "derived"),
        ({"BurnedInAnnotation": "YES"}, "burnt-in text"),
    ],
)
def test_what_no_scanner_measured_is_not_mixed_in(
    tmp_path: Path, elements: dict[str, Any], reason: str
) -> None:
    slices = made()
    slices[0][1].update(elements)
    write_series(tmp_path, slices, order=range(7))
    assert (
        f"1 file(s) of another kind mixed in: {reason}" in refused(tmp_path, listed(tmp_path)).found
    )
    # The index leaves the file out, and what remains is a volume.
    found = find_series(tmp_path)
    assert found.left_out == [(tmp_path / "IM0000", reason)]
    assert read_series(found.series[0]).values.shape == (1, *ARRAY.shape[:2], 6)


def test_colours_are_no_volume(tmp_path: Path) -> None:
    slices = [(np.stack([pixels.astype(np.uint8)] * 3, -1), more) for pixels, more in made()]
    write_series(tmp_path, slices)
    assert "has colours" in refused(tmp_path).found


def test_folder_has_one_series(tmp_path: Path) -> None:
    write_series(tmp_path / "1", made())
    assert read_volume(tmp_path).values.shape[0] == 1
    write_series(tmp_path / "2", made())
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"2 series; left out: 1 no DICOM"):
        read_series_in(tmp_path)


@pytest.mark.parametrize("package", ["pydicom", "highdicom", "nibabel"])
def test_without_the_extra_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    write_series(tmp_path, made())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=f"{package} is not installed") as caught:
        read_volume(tmp_path)
    assert caught.value.mend == "pip install 'srflm-flower[imaging]'"


@pytest.mark.parametrize("cut", [None, 20, 900])
@pytest.mark.parametrize("make", [made, tilted, reduced, lambda: moved(made(), 3, 1)])
def test_no_patient_appears_in_errors_warnings_or_logs(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    make: Callable[[], Slices],
    cut: int | None,
) -> None:
    write_series(tmp_path, make(), Manufacturer=CANARY, PatientID=CANARY)
    if cut is not None:
        path = tmp_path / "IM0003"
        path.write_bytes(path.read_bytes()[:-cut])
    said = ""
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        found = find_series(tmp_path)
        try:
            read_series(found.series[0])
        except DataError as error:
            said = "".join(traceback.format_exception(error))
            assert error.__cause__ is None and error.__context__ is None
    printed = capfd.readouterr()
    assert warned == [] and caplog.text == ""
    assert CANARY not in said + printed.out + printed.err
    assert found.series[0].headers[0].patient == CANARY
    for text in (repr(found), str(found)):
        assert text.count(CANARY) == text.count(f"manufacturer='{CANARY}'")
