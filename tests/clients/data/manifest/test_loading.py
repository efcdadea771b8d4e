"""Rules of a vendor whose data are a folder with a manifest."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import clients.data.manifest.finding
import clients.data.manifest.loading
from clients.data.manifest.keys import manifest_keys
from clients.data.manifest.rows import read_manifest, write_manifest
from clients.data.plan import DataPlan
from clients.data.sources import forget_cached_data, load_vendor_data
from clients.data.vendor_data import SPLITS, VendorData
from clients.privacy.ledger.manifest import manifest_of
from clients.settings import FileData, SplitSettings, VendorSettings
from deploy.cli import app
from strategies.errors import DataError
from tests.clients.data.manifest.test_indexing import write_nifti, write_pairs
from tests.support.dicom_files import write_dicom
from tests.support.learning.tasks import segmentation

PREPARE = {"orientation": "RAS", "spacing": [1, 1, 1], "normalise": "percentile", "size": [8, 8, 8]}
FEDERATION = """
name = "organs"
data = {{source = "files", prepare = {prepare}, most-unreadable = 0.2}}
task = {{kind = "segmentation", classes = ["background", "organ-1"], spatial-dims = 3}}
model = {{network = "UNet", arguments = {{channels = [4, 8], strides = [2]}}}}
training = {{batch-size = 2}}
run = {{rounds = 1, device = "cpu"}}
[[vendors]]
name = "a"
path = "a"
[[vendors]]
name = "b"
path = "b"
"""


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def plan_of(folder: Path, **prepare: Any) -> DataPlan:
    data = FileData.model_validate(
        {"source": "files", "prepare": PREPARE | prepare, "most-unreadable": 0.2}
    )
    vendors = (VendorSettings(name="a", path=folder),)
    task = segmentation(spatial_dims=3, classes=2)
    return DataPlan(data, task, vendors, SplitSettings(), batch_size=2, seed=65)


def federation_file(folder: Path) -> Path:
    prepare = (
        '{orientation = "RAS", spacing = [1, 1, 1], normalise = "percentile", size = [8, 8, 8]}'
    )
    path = folder / "federation.toml"
    path.write_text(FEDERATION.format(prepare=prepare), encoding="utf-8")
    return path


def srflm(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def indexed(folder: Path, count: int = 10) -> Path:
    """Write pairs for vendors a and b, and index them."""
    file = federation_file(folder)
    for number, name in enumerate("ab"):
        write_pairs(folder / name, count, first=100 * number)
        result = srflm("data", "index", folder / name, file)
        assert result.exit_code == 0, result.output
    return folder / "a"


def load(folder: Path, **prepare: Any) -> VendorData:
    forget_cached_data()
    return load_vendor_data(plan_of(folder, **prepare), "a")


def test_cases_come_prepared_with_their_names_and_patients(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    data = load(folder)
    rows = read_manifest(folder / "manifest.csv")
    for name in SPLITS:
        split = data.split(name)
        expected = [row for row in rows if row.split == name]
        assert split.records == tuple(row.record for row in expected)
        assert split.patients == tuple(row.patient for row in expected)
        assert split.images.shape == (len(expected), 1, 8, 8, 8)
        assert split.targets.shape == (len(expected), 8, 8, 8)
        assert split.spacing is not None and split.spacing.unique().tolist() == [1.0]
        assert {n for row in expected for n in row.older.split()} == split.older
    # The budget of a record follows it from the manifest.
    assert manifest_of(data.train).records == {r.record for r in rows if r.split == "train"}


def test_mask_lies_where_its_image_lies(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    rng = np.random.default_rng(0)
    for number in range(10):
        image, mask = np.zeros((8, 8, 4), np.int16), np.zeros((8, 8, 4), np.uint8)
        corner = rng.integers(1, 4, 2)
        box = (slice(corner[0], corner[0] + 3), slice(corner[1], corner[1] + 3), slice(1, 3))
        image[box], mask[box] = 500 + number, 1
        for kind, values in (("images", image), ("masks", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            written = nibabel.Nifti1Image(values, np.diag([-1.0, 1.0, 2.0, 1.0]))
            nibabel.save(written, folder / kind / f"{number}.nii.gz")
    (tmp_path / "b").mkdir()
    assert srflm("data", "index", folder, federation_file(tmp_path)).exit_code == 0
    train = load(folder).train
    for image, mask in zip(train.images[:, 0], train.targets, strict=True):
        inside, outside = image[mask > 0], image[mask == 0]
        # Along the resampled axis, the edge is half in.
        assert inside.mean() > 0 and outside.mean() < -0.8


def test_whole_federation_runs_on_indexed_folders(tmp_path: Path) -> None:
    indexed(tmp_path)
    checked = srflm("config", "check", tmp_path / "federation.toml")
    assert checked.exit_code == 0, checked.output
    assert "8 × 8 × 8" in checked.output.replace("\n", " ")


def break_images(folder: Path, count: int) -> None:
    rows = [row for row in read_manifest(folder / "manifest.csv") if row.split == "train"]
    for row in rows[:count]:
        path = folder / row.image
        path.write_bytes(path.read_bytes()[:50])


def test_one_bad_study_never_ends_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = indexed(tmp_path)
    break_images(folder, 1)
    with caplog.at_level(logging.WARNING):
        data = load(folder)
    assert len(data.train) == 5
    ours = "clients.data.manifest.loading"
    (line,) = [record.getMessage() for record in caplog.records if record.name == ours]
    case = next(r.case for r in read_manifest(folder / "manifest.csv") if r.split == "train")
    assert case in line and "SRFLM-D2" in line
    # A keyed hash may begin as a file's name does; the name goes on with its suffix.
    assert ".nii" not in line and "images" not in line and str(folder) not in line


def test_too_many_bad_studies_are_refused(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    break_images(folder, 3)
    with pytest.raises(DataError) as caught:
        load(folder)
    assert "3 of 10 cases" in caught.value.found and "20%" in caught.value.expected


def test_image_that_is_gone_counts_as_a_bad_study(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    row = read_manifest(folder / "manifest.csv")[0]
    (folder / row.image).unlink()
    assert sum(len(load(folder).split(name)) for name in SPLITS) == 9


def test_images_of_several_sizes_are_refused(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    write_nifti(folder / "images" / "x.nii.gz", 77)
    image = nibabel.Nifti1Image(np.zeros((9, 9, 9), np.int16), np.eye(4))
    mask = nibabel.Nifti1Image(np.ones((9, 9, 9), np.uint8), np.eye(4))
    nibabel.save(image, folder / "images" / "x.nii.gz")
    nibabel.save(mask, folder / "masks" / "x.nii.gz")
    srflm("data", "index", folder, tmp_path / "federation.toml")
    with pytest.raises(DataError, match=r"data\.prepare\.size"):
        load(folder, size=None)


def test_folder_that_was_never_indexed_says_what_to_do(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a", 4)
    with pytest.raises(DataError, match="srflm data index"):
        load(tmp_path / "a")


def test_manifest_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_manifest(tmp_path / "a" / "manifest.csv", [])
    with pytest.raises(DataError) as caught:
        load(tmp_path / "a")
    assert caught.value.code == DataError.NO_EXAMPLES


# ---- the command and its key ---------------------------------------------------------------------


def test_index_tells_what_it_left_out_as_a_table_and_as_json(tmp_path: Path) -> None:
    file = federation_file(tmp_path)
    write_pairs(tmp_path / "a", 5)
    (tmp_path / "a" / "masks" / "case 0.nii.gz").unlink()
    table = srflm("data", "index", tmp_path / "a", file)
    assert "image without a target" in table.output and "case 0.nii.gz" in table.output
    found = json.loads(srflm("data", "index", tmp_path / "a", file, "--json").output)
    assert found["cases"] == 4
    assert found["left-out"] == [
        {"path": "images/case 0.nii.gz", "reason": "image without a target", "why": ""}
    ]


def test_index_of_nothing_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    result = srflm("data", "index", tmp_path / "a", federation_file(tmp_path))
    assert result.exit_code == 1 and "nothing was written" in result.output
    assert not (tmp_path / "a" / "manifest.csv").exists()


def test_owners_key_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "key"
    first = manifest_keys(1, path)
    assert manifest_keys(1, path) == first != manifest_keys(2, path)
    assert manifest_keys(2, path).owner == first.owner
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    with pytest.raises(DataError, match="has 5 bytes"):
        manifest_keys(1, path)


# ---- what is kept, and what has changed ----------------------------------------------------------


def test_second_start_decodes_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = indexed(tmp_path)
    first = load(folder)
    monkeypatch.setattr(clients.data.manifest.loading, "read_volume", None)
    second = load(folder)
    for name in SPLITS:
        assert torch.equal(first.split(name).images, second.split(name).images)
        assert torch.equal(first.split(name).targets, second.split(name).targets)
    assert str(tmp_path / "cache") in srflm("data", "clear-cache").output.replace("\n", "")
    with pytest.raises(TypeError):
        load(folder)


def test_other_preparation_is_another_case(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    assert load(folder).train.images.shape[2:] == (8, 8, 8)
    assert load(folder, size=[4, 4, 8]).train.images.shape[2:] == (4, 4, 8)


def test_image_that_has_changed_since_it_was_indexed_is_left_out(tmp_path: Path) -> None:
    """Its name in the ledger would be another image's."""
    folder = indexed(tmp_path)
    load(folder)
    row = read_manifest(folder / "manifest.csv")[0]
    write_nifti(folder / row.image, 999)
    after = load(folder)
    records = {name for split in SPLITS for name in after.split(split).records}
    assert len(records) == 9 and row.record not in records


def test_index_says_why_an_image_cannot_be_read(tmp_path: Path) -> None:
    file = federation_file(tmp_path)
    write_pairs(tmp_path / "a", 4)
    broken = tmp_path / "a" / "images" / "case 0.nii.gz"
    broken.write_bytes(b"no NIfTI")
    (left,) = json.loads(srflm("data", "index", tmp_path / "a", file, "--json").output)["left-out"]
    assert left["reason"] == "unreadable" and str(broken) in left["why"]


@pytest.mark.parametrize("missing", ["pydicom", "nibabel"])
def test_missing_package_is_named_once_and_not_for_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    write_pairs(tmp_path / "a", 3)
    write_dicom(tmp_path / "a" / "images" / "0.dcm", np.zeros((4, 4), np.int16))
    monkeypatch.setattr(
        clients.data.manifest.finding, "find_spec", lambda name: None if name == missing else name
    )
    result = srflm("data", "index", tmp_path / "a", federation_file(tmp_path))
    assert isinstance(result.exception, DataError)
    assert missing in result.exception.found and "[imaging]" in result.exception.mend


def test_manifest_of_another_program_is_not_written_over(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a", 3)
    (tmp_path / "a" / "manifest.csv").write_text("file,patient\nx,y\n")
    result = srflm("data", "index", tmp_path / "a", federation_file(tmp_path))
    assert isinstance(result.exception, DataError)
    assert "move it away" in result.exception.mend
    assert (tmp_path / "a" / "manifest.csv").read_text() == "file,patient\nx,y\n"
