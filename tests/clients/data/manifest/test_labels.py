"""Rules of a table of labels: each image and each line counts, and contradictions are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.data.manifest.indexing import Index, Keys, index_folder
from clients.data.manifest.labels import LABELS, NO_IMAGE, NO_LABEL, labels_in
from clients.settings import SplitSettings
from strategies.errors import DataError
from tests.clients.imaging.studies import volume_of_ct, write_study
from tests.support.dicom_files import CANARY, write_dicom
from tests.support.learning.tasks import classification

KEYS = Keys(b"o" * 32, b"d")
CLASSES = ("class-0", "class-1")


def index(folder: Path) -> Index:
    return index_folder(folder, classification(spatial_dims=3), SplitSettings(), KEYS)


def reasons(found: Index) -> dict[str, str]:
    return {each.path: each.reason for each in found.left_out}


def write_arrays(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.random.default_rng(number).normal(size=(4, 5, 6)))


def table(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = folder / LABELS
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def test_label_is_that_of_the_file(tmp_path: Path) -> None:
    write_arrays(tmp_path, "a b.npy", "deep/ü.npy", "class-0/c.npy")
    table(
        tmp_path,
        "image,class,patient",
        "a b.npy,class-1,P1",
        "deep\\ü.npy,class-0,P1",
        "./class-0/c.npy,class-1,P2",
        "",
    )
    found = index(tmp_path)
    assert found.left_out == ()
    # The folder of another class says nothing beside the table.
    assert {row.image: row.target for row in found.rows} == {
        "a b.npy": "class-1",
        "deep/ü.npy": "class-0",
        "class-0/c.npy": "class-1",
    }
    patients = {row.image: row.patient for row in found.rows}
    assert patients["a b.npy"] == patients["deep/ü.npy"] != patients["class-0/c.npy"]


@pytest.mark.parametrize("key", ["series", "patient"])
def test_label_is_that_of_the_series_or_the_patient(tmp_path: Path, key: str) -> None:
    series = [
        write_study(tmp_path / name, volume_of_ct(seed=at), PatientID=f"{CANARY}-{at}")
        for at, name in enumerate(("x", "y"))
    ]
    names = [each.uid if key == "series" else f"{CANARY}-{at}" for at, each in enumerate(series)]
    lines = [f"{name};class-{at}" for at, name in enumerate(names)]
    # As a spreadsheet writes it in many countries.
    table(tmp_path, f"{key.title()};Class", *lines, encoding="utf-8-sig")
    found = index(tmp_path)
    assert found.left_out == ()
    assert {row.image: row.target for row in found.rows} == {"x": "class-0", "y": "class-1"}
    assert CANARY not in repr(found) and series[0].uid not in repr(found)


def test_images_and_lines_without_a_partner_are_counted(tmp_path: Path) -> None:
    write_arrays(tmp_path, "a.npy", "b.npy")
    path = table(tmp_path, "image,class", "a.npy,class-0", "gone.npy,class-1")
    found = index(tmp_path)
    assert len(found.rows) == 1
    assert reasons(found) == {"b.npy": NO_LABEL, f"{LABELS}, line 3": NO_IMAGE}
    path.unlink()
    assert "b.npy" in reasons(index(tmp_path))  # folders say it again


def test_image_that_the_table_names_and_that_is_gone_is_counted(tmp_path: Path) -> None:
    series = write_study(tmp_path / "x", volume_of_ct())
    table(tmp_path, "series,class", f"{series.uid},class-0")
    shutil.rmtree(tmp_path / "x")
    assert reasons(index(tmp_path)) == {f"{LABELS}, line 2": NO_IMAGE}


def test_every_series_of_a_patient_has_the_label(tmp_path: Path) -> None:
    for seed in range(2):
        write_study(tmp_path / str(seed), volume_of_ct(seed=seed), PatientID="P")
    table(tmp_path, "patient,class", "P,class-1")
    found = index(tmp_path)
    assert [row.target for row in found.rows] == ["class-1", "class-1"]
    assert len({row.split for row in found.rows}) == 1
    assert found.left_out == ()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["image,class", f"{CANARY}.npy,class-0", f"{CANARY}.npy,class-0"], "lines of one name"),
        (["image,class", "a.npy,class-0", ".\\a.npy,class-1"], "lines of one name: 2, 3"),
        (["image,label", f"{CANARY},class-0"], "without all that are needed"),
        (["name,class", f"{CANARY},class-0"], "without all that are needed"),
        (["image,class,class", f"{CANARY},class-0,class-1"], "without all that are needed"),
        ([], "without all that are needed"),
        (["image,class", f"{CANARY},"], "no class in line 2"),
        (["image,class", f"{CANARY}"], "no class in line 2"),
        (["image,class", ",class-0"], "no image in line 2"),
    ],
)
def test_table_that_is_none_is_refused(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        labels_in(table(tmp_path, *lines), CLASSES)
    assert caught.value.code == DataError.UNREADABLE and CANARY not in str(caught.value)


def test_unknown_class_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, "image,class", "a.npy,class-0", f"b.npy,{CANARY}")
    with pytest.raises(DataError, match="line 3") as caught:
        labels_in(path, CLASSES)
    assert caught.value.code == DataError.LABELS_OUTSIDE_CLASSES
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    path = table(tmp_path, "image,class", "ü.npy,class-0", encoding=encoding)
    with pytest.raises(DataError, match="no text in UTF-8"):
        labels_in(path, CLASSES)


def write_dicoms(folder: Path, count: int) -> list[str]:
    """Write DICOM images, each under a patient's number of its own; return their names."""
    names = [f"{number:02}.dcm" for number in range(count)]
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 999, (8, 8)).astype(np.int16)
        write_dicom(
            folder / name, pixels, PatientID=f"N{number}", SeriesInstanceUID=f"1.2.{number}"
        )
    return names


def slices_of(folder: Path, **changes: Any) -> Index:
    return index_folder(folder, classification(spatial_dims=2), SplitSettings(), KEYS, **changes)


def test_patient_of_the_table_counts_more_than_that_of_the_header(tmp_path: Path) -> None:
    names = write_dicoms(tmp_path, 40)
    lines = [f"{name},class-{number % 2},P{number % 10}" for number, name in enumerate(names)]
    table(tmp_path, "image,class,patient", *lines)
    rows = slices_of(tmp_path).rows
    assert len(rows) == 40 and len({row.patient for row in rows}) == 10
    split_of = {row.patient: row.split for row in rows}
    assert all(row.split == split_of[row.patient] for row in rows)


def test_patients_that_are_told_later_keep_the_splits_or_are_refused(tmp_path: Path) -> None:
    names = write_dicoms(tmp_path, 20)
    plain = [f"{name},class-{number % 2}" for number, name in enumerate(names)]
    table(tmp_path, "image,class", *plain)
    before = slices_of(tmp_path).rows
    split_of = {row.image: row.split for row in before}
    # Each new patient has images of one split: they stay in it.
    table(tmp_path, "image,class,patient", *(f"{line},P-{split_of[line[:6]]}" for line in plain))
    after = slices_of(tmp_path, known=before).rows
    assert {row.image: row.split for row in after} == split_of
    assert len({row.patient for row in after}) == 3
    # One patient has images of all splits: nothing is divided anew behind one's back.
    table(tmp_path, "image,class,patient", *(f"{line},P" for line in plain))
    with pytest.raises(DataError, match="1 patients with images in several splits"):
        slices_of(tmp_path, known=before)


def test_copies_under_another_patient_move_no_known_image(tmp_path: Path) -> None:
    names = write_dicoms(tmp_path, 20)
    table(tmp_path, "image,class,patient", *(f"{name},class-0,P{name}" for name in names))
    before = slices_of(tmp_path).rows
    for name in names:
        shutil.copy(tmp_path / name, tmp_path / f"00-{name}")
    lines = [f"{first}{name},class-0,{first}{name}" for name in names for first in ("", "00-")]
    table(tmp_path, "image,class,patient", *lines)
    after = slices_of(tmp_path, known=before)
    assert {row.record: row.split for row in after.rows} == {r.record: r.split for r in before}
    assert len(after.rows) == 20
