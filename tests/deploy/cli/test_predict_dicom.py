"""`srflm predict --format dicom`: what is written, and what is refused before anything is."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from clients.imaging.reading import read_volume
from clients.imaging.segmentation import is_segmentation, read_segmentation
from clients.models.model_file import ModelFile
from clients.networks.build import initial_network
from clients.networks.weights import get_weights
from clients.settings import ModelSettings
from clients.tasks.settings import TaskSettings
from deploy.cli import app
from strategies.errors import ConfigurationError, DataError
from tests.clients.imaging.studies import volume_of_ct, write_study
from tests.support.learning.tasks import classification, restoration, segmentation

UNET = ModelSettings(network="UNet", arguments={"channels": [4, 8], "strides": [2]})
PREPARE = {"window": [-1000, 1500], "size": [8]}


def model_for(folder: Path, task: TaskSettings, network: ModelSettings = UNET) -> Path:
    path = folder / "model.safetensors"
    weights = get_weights(initial_network(network, task, 1, (8,) * task.spatial_dims))
    ModelFile(network, task, weights, {"prepare": PREPARE}).write(path)
    return path


def predict(*words: object) -> tuple[list[dict[str, str]], int]:
    arguments = ["predict", *map(str, words), "--format", "dicom"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return list(csv.DictReader(result.stdout.splitlines())), result.exit_code


def test_masks_of_series_are_dicom(tmp_path: Path) -> None:
    task = segmentation(spatial_dims=3)
    source = {name: write_study(tmp_path / "in" / name, volume_of_ct()) for name in ("a", "b")}
    model = model_for(tmp_path, task)
    rows, code = predict(model, tmp_path / "in", "--output", tmp_path / "out")
    assert code == 0 and [Path(row["result"]).name for row in rows] == ["a.dcm", "b.dcm"]
    for row, series in zip(rows, source.values(), strict=True):
        path = Path(row["result"])
        assert is_segmentation(path)
        read_segmentation(path, series, read_volume(series), task.classes)
    with pytest.raises(DataError, match="is there already"):
        predict(model, tmp_path / "in", "--output", tmp_path / "out")


def test_restored_series_are_folders_and_slices_are_files(tmp_path: Path) -> None:
    series = write_study(tmp_path / "in" / "a", volume_of_ct())
    model = model_for(tmp_path, restoration(spatial_dims=3))
    rows, code = predict(model, tmp_path / "in", "--output", tmp_path / "out")
    assert code == 0
    folder = tmp_path / "out" / "a"
    assert [Path(row["result"]) for row in rows] == [folder]
    assert len(list(folder.iterdir())) == len(series.headers)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    flat = model_for(tmp_path, restoration())
    rows, code = predict(flat, tmp_path / "in", "--output", tmp_path / "flat")
    assert code == 0 and len(rows) == len(series.headers)
    assert all(Path(row["result"]).is_file() for row in rows)


def test_other_images_are_named_and_cost_no_result(tmp_path: Path) -> None:
    write_study(tmp_path / "in" / "a", volume_of_ct())
    np.save(tmp_path / "in" / "b.npy", np.zeros((8, 8, 8), np.float32))
    model = model_for(tmp_path, segmentation(spatial_dims=3))
    rows, code = predict(model, tmp_path / "in", "--output", tmp_path / "out")
    assert code == 1 and len(rows) == 1


def test_classes_are_no_dicom(tmp_path: Path) -> None:
    model = model_for(tmp_path, classification(), ModelSettings())
    with pytest.raises(ConfigurationError, match="leave --format out"):
        predict(model, tmp_path)


def test_rest_of_a_killed_call_is_in_no_series(tmp_path: Path) -> None:
    series = write_study(tmp_path / "in" / "a", volume_of_ct())
    model = model_for(tmp_path, restoration(spatial_dims=3))
    part = tmp_path / "out" / ".a.part"
    part.mkdir(parents=True)
    (part / "0099.dcm").write_bytes(b"another patient")
    _, code = predict(model, tmp_path / "in", "--output", tmp_path / "out")
    assert code == 0
    assert len(list((tmp_path / "out" / "a").iterdir())) == len(series.headers)


def test_series_in_the_folder_itself_has_the_folders_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(tmp_path / "in" / "a", volume_of_ct())
    model = model_for(tmp_path, segmentation(spatial_dims=3))
    monkeypatch.chdir(tmp_path / "in" / "a")
    rows, _ = predict(model, ".", "--output", tmp_path / "out")
    assert [Path(row["result"]).name[0] for row in rows] == ["a"]
