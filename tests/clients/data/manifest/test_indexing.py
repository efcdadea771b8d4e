"""Rules of finding a site's own images: what is found, what is left out, and nothing that names."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydicom.uid import generate_uid

import clients.data.manifest.finding
from clients.data.examples import record_name
from clients.data.manifest.finding import NO_IMAGE_FILE, items_in, source_of
from clients.data.manifest.indexing import SAME_PIXELS, UNREADABLE, Index, Keys, index_folder
from clients.data.manifest.pairing import NO_IMAGE, NO_TARGET
from clients.data.manifest.rows import read_manifest, write_manifest
from clients.imaging.index import Series
from clients.imaging.reading import read_volume
from clients.settings import SplitSettings
from clients.tasks.settings import TaskSettings
from strategies.errors import DataError
from tests.support.dicom_files import stored_by_ge, write_dicom
from tests.support.dicom_series import affine_of, slices_of, write_series
from tests.support.learning.tasks import classification, segmentation

KEYS = Keys(b"o" * 32, b"d")
MASKS = segmentation(spatial_dims=3, classes=2)


def index(folder: Path, task: TaskSettings = MASKS, **changes: Any) -> Index:
    return index_folder(folder, task, SplitSettings(), KEYS, **changes)


def write_nifti(path: Path, seed: int, mask: bool = False) -> Path:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2 if mask else 500, (6, 7, 8)).astype(np.uint8 if mask else np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    return path


def write_pairs(folder: Path, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        write_nifti(folder / "images" / f"case {number}.nii.gz", number)
        write_nifti(folder / "masks" / f"case {number}.nii.gz", number, mask=True)


def left_out(found: Index) -> dict[str, str]:
    return {each.path: each.reason for each in found.left_out}


def test_pairs_are_found_with_their_names_in_the_ledger(tmp_path: Path) -> None:
    write_pairs(tmp_path, 10)
    found = index(tmp_path)
    assert [row.image for row in found.rows] == [f"images/case {n}.nii.gz" for n in range(10)]
    assert [row.target for row in found.rows] == [f"masks/case {n}.nii.gz" for n in range(10)]
    for row in found.rows:
        assert row.record == record_name(read_volume(tmp_path / row.image).stored)
        assert row.older
    assert len({row.case for row in found.rows}) == len({row.patient for row in found.rows}) == 10
    splits = [row.split for row in found.rows]
    assert [splits.count(split) for split in ("train", "validation", "test")] == [6, 2, 2]
    assert found.left_out == ()


def test_new_files_never_move_an_old_patient(tmp_path: Path) -> None:
    write_pairs(tmp_path, 8)
    before = index(tmp_path)
    write_manifest(tmp_path / "manifest.csv", before.rows)
    write_pairs(tmp_path, 8, first=8)
    after = index(tmp_path, known=read_manifest(tmp_path / "manifest.csv"))
    old = {row.patient: row.split for row in before.rows}
    assert {row.patient: row.split for row in after.rows if row.patient in old} == old
    assert len(after.rows) == 16
    assert after.left_out == ()


def test_what_has_no_partner_and_what_is_broken_is_named_and_ends_nothing(tmp_path: Path) -> None:
    write_pairs(tmp_path, 4)
    (tmp_path / "masks" / "case 0.nii.gz").unlink()
    (tmp_path / "images" / "case 1.nii.gz").unlink()
    broken = tmp_path / "images" / "case 2.nii.gz"
    broken.write_bytes(broken.read_bytes()[:60])
    shutil.copy(tmp_path / "images" / "case 3.nii.gz", tmp_path / "images" / "copy.nii.gz")
    write_nifti(tmp_path / "masks" / "copy.nii.gz", 9, mask=True)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").write_text("not looked at")
    found = index(tmp_path)
    assert [row.image for row in found.rows] == ["images/case 3.nii.gz"]
    assert left_out(found) == {
        "images/case 0.nii.gz": NO_TARGET,
        "masks/case 1.nii.gz": NO_IMAGE,
        "images/case 2.nii.gz": UNREADABLE,
        "images/copy.nii.gz": SAME_PIXELS,
        "notes.txt": NO_IMAGE_FILE,
    }


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        index(tmp_path / "none")
    assert caught.value.code == DataError.MISSING


def test_folder_without_images_gives_no_row(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert index(tmp_path) == Index((), index(tmp_path).left_out)


# ---- DICOM ---------------------------------------------------------------------------------------


def write_slices(folder: Path, count: int, **elements: Any) -> None:
    for number in range(count):
        hu = np.random.default_rng(number).integers(-300, 400, (16, 16))
        stored, of_maker = stored_by_ge(hu)
        folder.mkdir(parents=True, exist_ok=True)
        numbers = {"SeriesInstanceUID": generate_uid(), "SOPInstanceUID": generate_uid()}
        path = folder / f"{number}.dcm"
        write_dicom(path, stored, **{**of_maker, **numbers, **elements})


def test_slices_are_cases_of_their_patient_and_maker(tmp_path: Path) -> None:
    write_slices(tmp_path / "benign", 3, PatientID="CANARY-1", Manufacturer="GE MEDICAL SYSTEMS")
    write_slices(tmp_path / "malignant", 2, PatientID="CANARY-1", Manufacturer="TOSHIBA")
    task = classification(classes=2).model_copy(update={"classes": ("benign", "malignant")})
    found = index(tmp_path, task)
    # The malignant slices have the pixels of benign ones.
    assert {row.target for row in found.rows} == {"benign"}
    assert set(left_out(found).values()) == {SAME_PIXELS}
    assert {row.vendor for row in found.rows} == {"ge"}
    assert len({row.patient for row in found.rows}) == 1
    assert "CANARY" not in repr(found)


def test_patient_has_one_name_at_every_vendor_and_another_under_another_key(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_slices(tmp_path / name / "benign", 1, PatientID="P1")
    task = classification(classes=2).model_copy(update={"classes": ("benign", "malignant")})
    one, other = (index(tmp_path / name, task).rows[0].patient for name in ("a", "b"))
    assert one == other
    keys = Keys(b"x" * 32, b"d")
    foreign = index_folder(tmp_path / "a", task, SplitSettings(), keys)
    assert foreign.rows[0].patient != one


def test_path_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    for path in ("../x.nii", "/etc/passwd", "a/../../x"):
        with pytest.raises(DataError, match="leads out of its folder"):
            source_of(path, tmp_path, b"k")
    with pytest.raises(DataError) as caught:
        source_of("none.nii", tmp_path, b"k")
    assert caught.value.code == DataError.MISSING


def test_many_files_that_are_no_images_are_soon_counted(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number}.json").write_text("{}")
    items, out = items_in(tmp_path, volumes=True, key=b"k")
    assert items == [] and len(out) == 2000
    assert not isinstance(items, Series)


def test_folder_of_several_series_is_looked_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    affine = affine_of((1.0, 1.0, 2.0))
    for number in range(3):
        values = np.random.default_rng(number).integers(0, 900, (6, 7, 8)).astype(np.int16)
        order = range(10 * number, 10 * number + 8)
        write_series(tmp_path / "images", slices_of(values, affine), order=order)
    items, _ = items_in(tmp_path, volumes=True, key=KEYS.owner)
    assert len(items) == 3
    looked, plain = [], clients.data.manifest.finding.find_series
    monkeypatch.setattr(
        clients.data.manifest.finding,
        "find_series",
        lambda folder: looked.append(folder) or plain(folder),
    )
    seen: dict[Path, list[Series]] = {}
    sources = [source_of(item.path, tmp_path, KEYS.owner, seen) for item in items]
    assert sources == [item.source for item in items]
    assert looked == [tmp_path / "images"]


def test_copy_at_another_owner_is_divided_alike(tmp_path: Path) -> None:
    write_pairs(tmp_path, 12)
    mine = index(tmp_path)
    theirs = index_folder(
        tmp_path, MASKS, SplitSettings(), Keys(b"another owner".ljust(32), KEYS.division)
    )
    assert {row.image: row.split for row in mine.rows} == {r.image: r.split for r in theirs.rows}
    assert not {row.patient for row in mine.rows} & {row.patient for row in theirs.rows}
