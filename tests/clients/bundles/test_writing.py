"""A bundle says what was agreed; what it cannot say, and what MONAI would run, is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clients.models.model_file
from clients.bundles.reading import read_bundle
from clients.bundles.record import RunRecord
from clients.bundles.writing import write_bundle
from clients.data.vendor_data import as_images
from clients.imaging.reading import read_volume
from clients.models.model_file import read_model_file
from clients.preparation.prepare import prepare
from clients.preparation.settings import PrepareSettings
from clients.tasks.settings import ClassificationSettings, SegmentationSettings
from strategies.errors import ConfigurationError, RunFolderError
from tests.clients.bundles.exported import MASKS, MODELS, RECORD, UNET, Model, write_images

QUICK = (
    *("segmentation, z-score", "restoration of volumes"),
    *("restoration of slices", "restoration of pictures"),
)
EACH = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in MODELS]
WINDOW = PrepareSettings(window=(0, 1))
SMALL = Model("UNet", MASKS, UNET, WINDOW)


@pytest.mark.parametrize("name", EACH)
def test_bundle_has_all_files_and_says_what_it_needs(tmp_path: Path, name: str) -> None:
    model = MODELS[name]
    bundle = model.export(tmp_path)
    found = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    configs = {"configs/inference.json", "configs/metadata.json"}
    assert found == configs | {"LICENSE", "docs/README.md", "models/model.pt"}
    about = json.loads((bundle / "configs" / "metadata.json").read_bytes())
    assert ("srflm-flower" in about["required_packages_version"]) == model.needs_us
    assert set(about["changelog"]) == {about["version"]}
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert all(isinstance(each, torch.Tensor) for each in state.values())
    if not model.needs_us:
        config = (bundle / "configs" / "inference.json").read_text()
        assert "clients." not in config and "srflm" not in config


def test_readme_has_the_record_of_the_run(tmp_path: Path) -> None:
    text = (SMALL.export(tmp_path) / "docs" / "README.md").read_text()
    for words in (
        "vendors: aster, borealis",
        "3 rounds in 3 terms",
        "the averaged model of term 2",
        "dice: 0.8125",
        "ε of aster: 1.50 at δ = 1e-05",
        "The classes are 0 none, 1 a, 2 b.",
    ):
        assert words in text
    assert str(tmp_path) not in text
    licence = (tmp_path / "bundle" / "LICENSE").read_text()
    assert "aster, borealis" in licence


def test_bundle_without_a_record_says_so(tmp_path: Path) -> None:
    write_bundle(SMALL.write(tmp_path / "m.safetensors"), tmp_path / "bundle", RunRecord())
    assert "record of the run was not at hand" in (tmp_path / "bundle/docs/README.md").read_text()


def test_bundle_of_its_own_is_read_again(tmp_path: Path) -> None:
    bundle = SMALL.export(tmp_path)
    found = read_bundle(bundle)
    assert (found.model.network, found.task.outputs, found.task.classes) == (
        "UNet",
        3,
        MASKS.classes,
    )
    expected = read_model_file(tmp_path / "model.safetensors").weights
    weights = found.weights()
    assert all(np.array_equal(weights[name], array) for name, array in expected.items())


@pytest.mark.parametrize(
    "name", ["$__import__('os').system('x')", " $x", "@network_def", "%other.json"]
)
def test_name_of_a_class_that_monai_would_run_is_refused(tmp_path: Path, name: str) -> None:
    task = SegmentationSettings(kind="segmentation", classes=("none", name), spatial_dims=3)
    with pytest.raises(ConfigurationError, match="which MONAI would evaluate"):
        replace(SMALL, task=task).export(tmp_path)
    assert not (tmp_path / "bundle").exists()


def test_name_of_a_vendor_that_monai_would_run_is_refused(tmp_path: Path) -> None:
    record = replace(RECORD, vendors=("$x",))
    with pytest.raises(ConfigurationError, match="which MONAI would evaluate"):
        write_bundle(SMALL.write(tmp_path / "m.safetensors"), tmp_path / "bundle", record)


REFUSED: dict[str, tuple[Model, str]] = {
    "an odd size": (replace(SMALL, prepare=PrepareSettings(window=(0, 1), size=(33,))), "even"),
    "volumes without a rule": (replace(SMALL, prepare=PrepareSettings(spacing=(1,))), "a window"),
    "slices with a spacing": (
        Model("small-cnn", ClassificationSettings(), prepare=PrepareSettings(spacing=(1,))),
        "a window",
    ),
    "slices with an orientation": (
        Model(
            "small-cnn",
            ClassificationSettings(),
            prepare=PrepareSettings(window=(0, 1), orientation="RAS"),
        ),
        "volumes",
    ),
    "several channels with a rule": (
        Model("small-cnn", ClassificationSettings(channels=2), prepare=WINDOW),
        "one channel",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_preparation_that_transforms_cannot_repeat_is_refused(tmp_path: Path, name: str) -> None:
    model, expected = REFUSED[name]
    with pytest.raises(ConfigurationError, match=f"repeat exactly.*{expected}"):
        model.export(tmp_path)
    assert not (tmp_path / "bundle").exists()


def test_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine").write_text("x")
    with pytest.raises(ConfigurationError, match="there already"):
        SMALL.export(tmp_path)
    assert [each.name for each in (tmp_path / "bundle").iterdir()] == ["mine"]


# MONAI's parser and transforms warn of their own deprecated arguments.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", EACH)
def test_transforms_prepare_as_training_did(tmp_path: Path, name: str) -> None:
    from monai.bundle import ConfigParser

    model = MODELS[name]
    if model.task.spatial_dims == 3:
        pytest.importorskip("nibabel", reason="volumes need the extra `imaging`")
    bundle, paths = model.export(tmp_path), sorted(write_images(model, tmp_path / "images"))
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser["dataset_dir"] = str(tmp_path / "images")
    dataset: Any = parser.get_parsed_content("dataset")
    assert len(dataset) == len(paths)
    for item, path in zip(dataset, paths, strict=True):
        prepared = prepare(read_volume(path), None, "class", model.prepare, path.name)
        expected = as_images(prepared.image[None], model.task)[0]
        found = item["image"].as_tensor()
        edges = [(len_ - own) // 2 for len_, own in zip(found.shape, expected.shape, strict=True)]
        for axis, (edge, own) in enumerate(zip(edges, expected.shape, strict=True)):
            found = found.narrow(axis, edge, own)  # what the bundle pads before the network
        assert float((found - expected).abs().max()) < 1e-5


@pytest.mark.parametrize("notes", [{"image-size": "$1"}, {"image-shape": ["$1", 32]}])
def test_size_that_monai_would_run_is_no_size(tmp_path: Path, notes: dict[str, Any]) -> None:
    path = SMALL.write(tmp_path / "m.safetensors")
    replace(read_model_file(path), notes=notes).write(path)
    with pytest.raises(RunFolderError, match="damaged srflm-model-1 header"):
        write_bundle(path, tmp_path / "bundle", RECORD)
    assert not (tmp_path / "bundle").exists()


def test_nothing_is_run_that_is_not_this_programs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lets a text through, the configuration has it, and is refused."""
    monkeypatch.setattr(clients.models.model_file, "_check_notes", lambda notes: None)
    path = MODELS["classification"].write(tmp_path / "m.safetensors")
    file = read_model_file(path)
    notes = {**file.notes, "image-size": "$1", "image-shape": [32, 32]}
    replace(file, notes=notes).write(path)
    with pytest.raises(ConfigurationError, match="which MONAI would evaluate"):
        write_bundle(path, tmp_path / "bundle", RECORD)
    assert not (tmp_path / "bundle").exists()
