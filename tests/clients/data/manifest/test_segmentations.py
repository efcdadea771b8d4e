"""Rules of segmentations as targets in a folder: each is in a pair, or left out with its reason."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from clients.data.case_cache import CaseCache
from clients.data.manifest.indexing import UNUSABLE, Index, Keys, index_folder
from clients.data.manifest.loading import Source, prepared_case
from clients.data.manifest.pairing import NO_IMAGE, NO_TARGET
from clients.data.manifest.segmentations import DAMAGED, OWN, SEVERAL, SEVERAL_HERE
from clients.imaging.index import Series
from clients.imaging.reading import read_volume
from clients.imaging.results.software import MODEL
from clients.preparation.settings import PrepareSettings
from clients.settings import SplitSettings
from clients.tasks.settings import TaskSettings
from strategies.errors import DataError
from tests.clients.imaging.studies import volume_of_ct, write_segmentation, write_study
from tests.support.dicom_files import CANARY
from tests.support.learning.tasks import classification, segmentation

TASK = segmentation(spatial_dims=3)
LABELS = TASK.classes[1:]
KEYS = Keys(b"o" * 32, b"d")


def index(folder: Path, task: TaskSettings = TASK) -> Index:
    return index_folder(folder, task, SplitSettings(), KEYS)


def mask_for(source: Series | Path, seed: int = 3) -> np.ndarray:
    shape = read_volume(source).values.shape[1:]
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


def patient(folder: Path, number: int) -> Series:
    """Write a patient's series, with the segmentation in a folder of all segmentations."""
    name = f"patient {number}"
    series = write_study(folder / name / "ct", volume_of_ct(seed=number), PatientID=f"P{number}")
    write_segmentation(folder / "drawn" / f"{name}.dcm", series, mask_for(series), LABELS)
    return series


def source_for(folder: Path, task: TaskSettings = TASK) -> Source:
    settings = PrepareSettings(window=(-1000, 1500))
    return Source(task, settings, KEYS.owner, 0.0, CaseCache(folder))


def reasons(found: Index) -> dict[str, str]:
    return {each.path: each.reason for each in found.left_out}


def test_segmentation_belongs_to_the_series_that_it_references(tmp_path: Path) -> None:
    series = [patient(tmp_path / "data", number) for number in range(3)]
    found = index(tmp_path / "data")
    assert found.left_out == ()
    assert {row.image: row.target for row in found.rows} == {
        f"patient {n}/ct": f"drawn/patient {n}.dcm" for n in range(3)
    }
    source = source_for(tmp_path / "cache")
    for row, each in zip(found.rows, series, strict=True):
        prepared = prepared_case(row, tmp_path / "data", source)
        np.testing.assert_array_equal(prepared.target, mask_for(each))


def test_classes_in_another_order_are_no_cached_case(tmp_path: Path) -> None:
    patient(tmp_path / "data", 0)
    (row,) = index(tmp_path / "data").rows
    plain = prepared_case(row, tmp_path / "data", source_for(tmp_path / "cache"))
    swapped = TASK.model_copy(update={"classes": (TASK.classes[0], *reversed(LABELS))})
    other = prepared_case(row, tmp_path / "data", source_for(tmp_path / "cache", swapped))
    assert plain.target is not None
    np.testing.assert_array_equal(other.target, np.array([0, 2, 1])[plain.target])


def test_slices_of_a_series_share_its_segmentation(tmp_path: Path) -> None:
    series = patient(tmp_path / "data", 0)
    flat = segmentation(spatial_dims=2)
    found = index(tmp_path / "data", flat)
    assert len(found.rows) == len(series.headers) and found.left_out == ()
    assert {row.target for row in found.rows} == {"drawn/patient 0.dcm"}
    source = source_for(tmp_path / "cache", flat)
    masks = [prepared_case(row, tmp_path / "data", source).target for row in found.rows]
    assert sum(int((mask > 0).sum()) for mask in masks if mask is not None) == np.count_nonzero(
        mask_for(series)
    )


def test_every_file_without_a_partner_is_counted(tmp_path: Path) -> None:
    one, two, three = (patient(tmp_path, number) for number in range(3))
    (tmp_path / "drawn" / "patient 0.dcm").unlink()
    shutil.rmtree(tmp_path / "patient 1")
    write_segmentation(tmp_path / "drawn" / "again.dcm", three, mask_for(three), LABELS)
    assert len({one.uid, two.uid, three.uid}) == 3
    found = index(tmp_path)
    assert found.rows == ()
    assert reasons(found) == {
        "patient 0/ct": NO_TARGET,
        "drawn/patient 1.dcm": NO_IMAGE,
        "patient 2/ct": SEVERAL_HERE,
        "drawn/patient 2.dcm": SEVERAL,
        "drawn/again.dcm": SEVERAL,
    }


def test_own_results_and_damaged_files_are_no_targets(tmp_path: Path) -> None:
    series = patient(tmp_path, 0)
    write_segmentation(
        tmp_path / "own.dcm", series, mask_for(series), LABELS, ManufacturerModelName=MODEL
    )
    damaged = shutil.copy(tmp_path / "drawn" / "patient 0.dcm", tmp_path / "damaged.dcm")
    Path(damaged).write_bytes(Path(damaged).read_bytes()[:900])
    found = index(tmp_path)
    assert len(found.rows) == 1
    assert reasons(found)["own.dcm"] == OWN
    assert reasons(found)["damaged.dcm"] in {DAMAGED, "no pixels"}


@pytest.mark.parametrize(
    ("labels", "changes", "why"),
    [
        ((LABELS[0], CANARY), {}, "no class of the task"),
        (LABELS, {"FrameOfReferenceUID": generate_uid()}, "another frame of reference"),
        (LABELS, {"SegmentationType": "FRACTIONAL"}, "probabilities"),
    ],
)
def test_segmentation_that_does_not_fit_is_named_with_its_image(
    tmp_path: Path, labels: tuple[str, ...], changes: dict[str, str], why: str
) -> None:
    patient(tmp_path, 0)
    series = patient(tmp_path, 1)
    path = tmp_path / "drawn" / "patient 1.dcm"
    write_segmentation(path, series, mask_for(series), labels, **changes)
    found = index(tmp_path)
    assert [row.image for row in found.rows] == ["patient 0/ct"]
    assert reasons(found) == {"drawn/patient 1.dcm": UNUSABLE, "patient 1/ct": NO_TARGET}
    assert why in next(each.why for each in found.left_out if each.reason == UNUSABLE)
    assert CANARY not in repr(found)


def test_segmentation_that_changes_later_is_refused(tmp_path: Path) -> None:
    patient(tmp_path / "data", 0)
    (row,) = index(tmp_path / "data").rows
    path = tmp_path / "data" / row.target
    header = dcmread(path)
    header.ReferencedSeriesSequence[0].SeriesInstanceUID = generate_uid()
    header.save_as(path)
    with pytest.raises(DataError, match="of another series"):
        prepared_case(row, tmp_path / "data", source_for(tmp_path / "cache"))
    with pytest.raises(DataError) as caught:
        prepared_case(replace(row, target="gone.dcm"), tmp_path / "data", source_for(tmp_path))
    assert caught.value.code == DataError.MISSING


def test_other_tasks_leave_segmentations_out(tmp_path: Path) -> None:
    patient(tmp_path / "class-0", 0)
    found = index(tmp_path, classification(spatial_dims=3))
    assert len(found.rows) == 1
    assert Counter(each.reason for each in found.left_out) == {"segmentation": 1}
