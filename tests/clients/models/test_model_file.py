"""Rules of model files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import srflm_flower
from clients.models.model_file import ModelFile, read_model_file
from clients.networks.build import initial_network
from clients.networks.weights import get_weights
from clients.settings import ModelSettings, Network
from clients.tasks.settings import ClassificationSettings
from strategies.errors import RunFolderError
from strategies.weights import hash_weights

TASK = ClassificationSettings(channels=3, classes=("a", "b", "c"), metric="auc")


def write(path: Path, network: str = "small-cnn") -> ModelFile:
    model = ModelSettings.model_validate({"network": network, "norm": "group"})
    weights = get_weights(initial_network(model, TASK, 7))
    file = ModelFile(model, TASK, weights, {"term": 3, "kind": "averaged"})
    file.write(path)
    return file


@pytest.mark.parametrize("name", get_args(Network))
def test_every_network_comes_back_ready_for_inference(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.safetensors"
    file = write(path, name)
    network = srflm_flower.load_model(path)
    assert not network.training
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    original = initial_network(file.model, TASK, 7).eval()
    with torch.no_grad():
        assert torch.equal(network(images), original(images))


def test_file_says_what_it_is(tmp_path: Path) -> None:
    file = write(tmp_path / "model.safetensors")
    again = read_model_file(str(tmp_path / "model.safetensors"))
    assert (again.model, again.task, again.notes) == (file.model, file.task, file.notes)
    assert again.hash == file.hash == hash_weights(file.weights)


def test_equal_models_give_equal_weights_files(tmp_path: Path) -> None:
    assert write(tmp_path / "a").hash == write(tmp_path / "b").hash
    one, other = (read_model_file(tmp_path / name).weights for name in "ab")
    assert all(np.array_equal(one[name], other[name]) for name in one)


def refused(path: Path) -> RunFolderError:
    with pytest.raises(RunFolderError, match="is not a model file") as caught:
        srflm_flower.load_model(path)
    assert caught.value.code == RunFolderError.NOT_A_RUN
    assert "models/global.safetensors" in caught.value.expected
    return caught.value


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert "FileNotFoundError" in refused(tmp_path / "none").found


def test_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x04.", b"\xff" * 100])
def test_file_that_is_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    refused(tmp_path / "x")


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write(path)
    path.write_bytes(path.read_bytes()[:-100])
    refused(path)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"format": "srflm-model-2"},
        {"format": "srflm-model-1"},
        {"format": "srflm-model-1", "model": "{", "task": "{}", "notes": "{}"},
        {"format": "srflm-model-1", "model": '{"network":"vgg"}', "task": "{}", "notes": "{}"},
        {"format": "srflm-model-1", "model": "{}", "task": "{}", "notes": "nothing"},
    ],
)
def test_safetensors_of_other_origin_are_refused(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    save_file({"w": np.zeros(2, np.float32)}, tmp_path / "x", metadata)
    refused(tmp_path / "x")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    weights = {"w": np.zeros(2, np.float32)}
    ModelFile(ModelSettings(), TASK, weights, {}).write(tmp_path / "x")
    assert "array names differ" in refused(tmp_path / "x").found


def test_weights_of_another_number_of_classes_are_refused(tmp_path: Path) -> None:
    weights = get_weights(initial_network(ModelSettings(), TASK, 7))
    task = ClassificationSettings(channels=3, classes=("a", "b"))
    ModelFile(ModelSettings(), task, weights, {}).write(tmp_path / "x")
    assert "'classifier.bias' has shape (3,)" in refused(tmp_path / "x").found


@pytest.mark.parametrize(
    "notes",
    [["x"], *({"image-size": each} for each in ("$1", "abc", 0, -1, True, [32], 1.5))]
    + [{"image-shape": each} for each in (["a"], 32, [32, 0], [True, 32], {"a": 1})],
)
def test_notes_that_none_has_written_are_refused(tmp_path: Path, notes: Any) -> None:
    path = tmp_path / "model.safetensors"
    replace(write(path), notes=notes).write(path)
    assert "damaged srflm-model-1 header" in refused(path).found
