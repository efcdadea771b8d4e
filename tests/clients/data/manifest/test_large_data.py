"""Rules of a vendor whose volumes are larger than memory, or of many sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.networks.nets import UNet

from clients.data.manifest.loading import Source, read_cases
from clients.data.separate import SeparateRecords
from clients.data.sources import forget_cached_data, load_vendor_data, manifest_source
from clients.data.vendor_data import SPLITS, Split
from clients.evaluation import evaluate
from clients.prediction import predict_file
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.settings import PrivacySettings
from clients.privacy.training.training import train_privately
from clients.settings import FileData, TrainingSettings
from clients.tasks.registry import task_of
from clients.training import Work, train
from tests.clients.data.manifest.test_loading import (
    PREPARE,
    federation_file,
    indexed,
    load,
    plan_of,
    srflm,
)
from tests.support.learning.tasks import segmentation

CPU = torch.device("cpu")
PATCH = {"size": None, "patch": [8, 8, 4]}
TASK = task_of(segmentation(spatial_dims=3, classes=2))


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def network() -> UNet:
    torch.manual_seed(0)
    return UNet(3, 1, 2, channels=(2, 4), strides=(2,), norm=("group", {"num_groups": 1}))


def with_other_size(folder: Path) -> None:
    """Add volumes of another size to a folder, and index it again."""
    rng = np.random.default_rng(5)
    for number in range(4):
        mask = np.zeros((11, 9, 6), np.uint8)
        mask[4:7, 3:5, 2:4] = 1
        image = (mask * np.int16(500) + rng.integers(0, 50, mask.shape)).astype(np.int16)
        for kind, values in (("images", image), ("masks", mask)):
            path = folder / kind / f"other {number}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    assert srflm("data", "index", folder, folder.parent / "federation.toml").exit_code == 0


def test_volumes_of_several_sizes_are_learnt_by_patches(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    with_other_size(folder)
    data = load(folder, **PATCH)
    assert isinstance(data.train, SeparateRecords) and data.train.foreground == 0.5
    assert len({cases.images.shape[2:] for cases in data.train.whole()}) > 1
    images, masks = data.train.batch(torch.arange(len(data.train)), 3)
    assert images.shape[1:] == (1, 8, 8, 4) and masks.shape[1:] == (8, 8, 4)
    one = network()
    train(one, data.train, Work(0.01, 2), TrainingSettings(batch_size=2), 1, CPU, loss=TASK.loss)
    assert 0 <= evaluate(one, data.test, TASK, CPU).metrics["dice"] <= 1


def test_patches_are_no_part_of_what_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = indexed(tmp_path)
    load(folder, size=None)
    monkeypatch.setattr("clients.data.manifest.loading.read_volume", None)
    assert load(folder, **PATCH).train.patch == (8, 8, 4)


def test_data_that_do_not_fit_into_memory_give_the_same_model(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    data, task = FileData.model_validate({"source": "files", "prepare": PREPARE}), TASK.settings
    source = manifest_source(data, task, 65)
    found = []
    for most in (0, 2**20):
        limited = Source(task, data.prepare, source.owner, 0.2, source.cache, most)
        found.append(read_cases(folder / "manifest.csv", limited))
    mapped, in_memory = found
    weights = []
    for records, kind in ((mapped, SeparateRecords), (in_memory, Split)):
        assert all(isinstance(records[name], kind) for name in SPLITS)
        one, settings = network(), TrainingSettings(batch_size=2)
        train(one, records["train"], Work(0.01, 2), settings, 1, CPU, loss=TASK.loss)
        weights.append([*one.parameters()])
        assert evaluate(one, records["test"], TASK, CPU).metrics
    assert all(torch.equal(*pair) for pair in zip(*weights, strict=True))
    for name in SPLITS:
        assert mapped[name].records == in_memory[name].records
        assert mapped[name].patients == in_memory[name].patients
        assert mapped[name].older == in_memory[name].older


def test_most_examples_are_taken_of_a_manifest_too(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    forget_cached_data()
    plan = plan_of(folder, **PATCH)
    vendor = plan.vendors[0].model_copy(update={"max_examples": 3})
    some = load_vendor_data(plan.__class__(**{**vars(plan), "vendors": (vendor,)}), "a")
    assert len(some.train) == 3 < len(load(folder, **PATCH).train)


@pytest.mark.parametrize("by_patient", [False, True])
def test_private_training_sees_patches(tmp_path: Path, by_patient: bool) -> None:
    data = load(indexed(tmp_path), **PATCH)
    one, before = network(), [each.detach().clone() for each in network().parameters()]
    groups = torch.arange(len(data.train)) // 2 if by_patient else None
    outcome = train_privately(
        one,
        data.train,
        Mechanism(0.8, 0.5, 3),
        PrivacySettings(unit="record", batch_size=2),
        TrainingSettings(batch_size=2),
        0.1,
        CPU,
        loss=TASK.loss,
        groups=groups,
    )
    assert outcome.steps == 3
    assert not all(torch.equal(*pair) for pair in zip(before, one.parameters(), strict=True))


def test_prediction_slides_over_an_image_of_any_size(tmp_path: Path) -> None:
    settings: Any = FileData.model_validate({"source": "files", "prepare": PREPARE | PATCH}).prepare
    values = np.arange(11 * 9 * 6, dtype=np.int16).reshape(11, 9, 6)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "image.nii.gz")

    class Bright(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert images.shape[2:] == (8, 8, 4)
            return torch.cat([-images, images], dim=1)

    found = predict_file(Bright(), tmp_path / "image.nii.gz", TASK.settings, None, 8, settings)
    assert found.values.shape == values.shape
    assert found.values[-1].all() and not found.values[0].any()


@pytest.mark.parametrize(
    ("kind", "prepare", "words"),
    [
        ("classification", "patch = 16", "for a classification"),
        ("segmentation", "patch = [16, 16]", "found 2 numbers"),
        ("segmentation", "patch = 16, size = [8, 32, 32]", "no larger than the images"),
        ("restoration", "patch = [16, 16, 8]", "the window of SSIM"),
    ],
)
def test_patch_that_cannot_be_is_refused(
    tmp_path: Path, kind: str, prepare: str, words: str
) -> None:
    text = federation_file(tmp_path).read_text(encoding="utf-8")
    text = text.replace('kind = "segmentation"', f'kind = "{kind}"')
    start, end = text.index("prepare = {"), text.index("}, most-unreadable")
    text = f"{text[:start]}prepare = {{{prepare}{text[end:]}"
    if kind == "restoration":
        text = text.replace(', classes = ["background", "organ-1"]', "")
    (tmp_path / "federation.toml").write_text(text, encoding="utf-8")
    result = srflm("config", "check", tmp_path / "federation.toml")
    assert result.exit_code == 1 and words in str(result.exception).replace("\n", " ")
