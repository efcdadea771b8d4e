"""The series in a folder, whatever its structure, and the files that are in none."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import MRImageStorage, generate_uid

from clients.imaging.header import SeriesHeader
from clients.imaging.index import find_series, group
from clients.imaging.series import read_series
from strategies.errors import DataError
from tests.support.dicom_files import RAMP, write_dicom
from tests.support.dicom_series import affine_of, slices_of, write_series

ARRAY = np.arange(5 * 6 * 4, dtype=np.uint16).reshape(5, 6, 4)


def test_series_are_found_in_any_structure(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_series(tmp_path / name, slices_of(ARRAY, affine_of()), Manufacturer=name)
    everywhere = sorted(tmp_path.rglob("IM*"))
    random.Random(1).shuffle(everywhere)
    for number, path in enumerate(everywhere):
        (tmp_path / "mixed" / str(number % 3)).mkdir(parents=True, exist_ok=True)
        path.rename(tmp_path / "mixed" / str(number % 3) / f"{number}.img")
    found = find_series(tmp_path)
    assert {(each.manufacturer, len(each.headers)) for each in found.series} == {
        ("first", 4),
        ("second", 4),
    }
    assert found.left_out == []
    for each in found.series:
        np.testing.assert_array_equal(read_series(each).values[0], ARRAY)


def test_files_in_no_series_have_a_reason(tmp_path: Path) -> None:
    write_series(tmp_path / "a", slices_of(ARRAY, affine_of()))
    shutil.copy(tmp_path / "a" / "IM0002", tmp_path / "a" / "Z")
    (tmp_path / "a" / "text").write_text("no image")
    (tmp_path / "empty").touch()
    content = (tmp_path / "a" / "IM0001").read_bytes()
    (tmp_path / "torn").write_bytes(content[:140])
    pixels = RAMP.astype(np.uint16)
    write_dicom(tmp_path / "report", pixels, Rows=None, SeriesInstanceUID="1.2")
    write_dicom(tmp_path / "alone", pixels)
    found = find_series(tmp_path)
    assert [(path.name, reason) for path, reason in found.left_out] == [
        ("Z", "duplicate"),
        ("text", "no DICOM"),
        ("alone", "unreadable"),
        ("empty", "no DICOM"),
        ("report", "no pixels"),
        ("torn", "unreadable"),
    ]
    (series,) = found.series
    assert len(series.headers) == 4


def test_header_has_what_was_asked_for(tmp_path: Path) -> None:
    write_series(
        tmp_path,
        slices_of(ARRAY, affine_of())[:1],
        SeriesInstanceUID="1.2.3",
        SOPClassUID=MRImageStorage,
        ImageType=["ORIGINAL", "PRIMARY"],
        Manufacturer="Maker",
        ManufacturerModelName="Model",
        MagneticFieldStrength="1.5",
        ConvolutionKernel=["B30", "f"],
        SeriesDescription="t1",
        PatientID="7",
    )
    ((header,),) = (each.headers for each in find_series(tmp_path).series)
    assert header == SeriesHeader(
        path=tmp_path / "IM0000",
        series="1.2.3",
        instance=header.instance,
        sop_class=MRImageStorage,
        modality="MR",
        image_type=("ORIGINAL", "PRIMARY"),
        manufacturer="Maker",
        model="Model",
        field_strength=1.5,
        kernel="B30 f",
        description="t1",
        thickness=3,
        patient="7",
        rows=6,
        columns=5,
        plane=header.plane,
    )
    assert header.plane is not None and header.plane.spacing == (2, 1)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), max_size=8), st.randoms())
def test_grouping_knows_no_order(files: list[tuple[str, str]], chance: random.Random) -> None:
    headers = [
        SeriesHeader(Path(str(number)), series, instance)
        for number, (series, instance) in enumerate(files)
    ]
    shuffled = headers.copy()
    chance.shuffle(shuffled)
    found = group(shuffled)
    assert found == group(headers)
    kept = [header for series in found.series for header in series.headers]
    assert {header.path for header in kept}.isdisjoint(path for path, _ in found.left_out)
    assert len(kept) + len(found.left_out) == len(headers)
    assert sorted({name for _, name in files}) == sorted(header.instance for header in kept)


def test_images_without_a_number_of_their_own_are_no_copies() -> None:
    header = SeriesHeader(Path("1"), generate_uid())
    (series,) = group([header, replace(header, path=Path("2"))]).series
    assert len(series.headers) == 2


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        find_series(tmp_path / "nowhere")
    assert caught.value.code == DataError.MISSING
