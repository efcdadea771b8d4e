"""MONAI's own commands accept an exported bundle of each task, and find what this project finds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from clients.models.model_file import load_model, read_model_file
from clients.prediction import Prediction, predict_file
from tests.clients.bundles.exported import MODELS, Model, monai_bundle, write_images

pytest.importorskip("fire", reason="MONAI's command for bundles needs the package fire")
pytest.importorskip("ignite", reason="MONAI's evaluator needs the package pytorch-ignite")
pytest.importorskip("nibabel", reason="volumes need the extra `imaging`")

NEAR = 1e-4  # of the window: the largest difference of an image


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_bundle_finds_what_srflm_predict_finds(tmp_path: Path, name: str) -> None:
    model = MODELS[name]
    bundle, images = model.export(tmp_path), write_images(model, tmp_path / "images")
    results = tmp_path / "results"
    words = ("--dataset_dir", tmp_path / "images", "--output_dir", results)
    monai_bundle("run", bundle, *words)
    file = read_model_file(tmp_path / "model.safetensors")
    network = load_model(tmp_path / "model.safetensors")
    for path in images:
        size = file.notes.get("image-size")
        expected = predict_file(network, path, file.task, None, size, file.prepare)
        _compare(model, expected, results, path)


def _compare(model: Model, expected: Prediction, results: Path, path: Path) -> None:
    if model.task.target == "class":
        with (results / "predictions.csv").open() as file:
            rows = {
                Path(row[0]).name: [float(each) for each in row[1:]] for row in csv.reader(file)
            }
        assert np.abs(np.array(rows[path.name]) - expected.values).max() < NEAR
        return
    import nibabel

    found = nibabel.load(results / f"{path.name.split('.')[0]}_pred.nii.gz")
    if model.task.spatial_dims == 3:
        # In the geometry of the file itself, where `srflm predict` has the axes of its reader.
        source = nibabel.load(path)
        assert found.shape == source.shape
        assert np.allclose(found.affine, source.affine)
        found = nibabel.as_closest_canonical(found)
        assert np.allclose(found.affine, expected.affine)
    values = np.asarray(found.dataobj)
    if model.task.target == "mask":
        assert len(np.unique(values)) == model.task.outputs
        assert (values == expected.values).all()
        return
    low, high = model.prepare.window or (0.0, 1.0)
    (restored,) = expected.values
    assert np.ptp(restored) > 0.1 * (high - low)
    assert np.abs(values.reshape(restored.shape) - restored).max() < NEAR * (high - low)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_network_is_verified_and_exported_as_a_program(tmp_path: Path, name: str) -> None:
    bundle = MODELS[name].export(tmp_path)
    monai_bundle("verify_net_in_out", bundle, "network_def", "--device", "cpu", "--n", "1")
    program = tmp_path / "model.ts"
    words = ("--ckpt_file", bundle / "models" / "model.pt", "--filepath", program)
    monai_bundle("ckpt_export", bundle, "network_def", *words)
    assert program.stat().st_size > 0


@pytest.mark.slow
def test_metadata_follows_the_schema(tmp_path: Path) -> None:
    pytest.importorskip("jsonschema")
    bundle = next(iter(MODELS.values())).export(tmp_path)
    schema = tmp_path / "schema.json"
    # MONAI takes a schema that is there already, and fetches none.
    schema.write_text(json.dumps({"type": "object", "required": ["network_data_format"]}))
    monai_bundle("verify_metadata", bundle, "--filepath", schema)
