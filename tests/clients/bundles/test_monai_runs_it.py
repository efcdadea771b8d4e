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

TEXT = {"type": "string", "minLength": 1}
IMAGE = {
    "type": "object",
    "properties": {
        "type": TEXT,
        "format": TEXT,
        "modality": TEXT,
        "num_channels": {"type": "integer", "minimum": 1},
        "spatial_shape": {"type": "array", "items": {"type": ["string", "integer"]}},
        "dtype": TEXT,
        "value_range": {"type": "array", "items": {"type": "number"}},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object", "additionalProperties": TEXT},
    },
}
IMAGE["required"] = list(IMAGE["properties"])
TEXTS = (
    *("version", "monai_version", "pytorch_version", "numpy_version", "task", "description"),
    *("authors", "copyright", "name"),
)
TABLES = ("required_packages_version", "changelog")
SCHEMA = {
    "type": "object",
    "properties": dict.fromkeys(TEXTS, TEXT)
    | {name: {"type": "object", "additionalProperties": TEXT} for name in TABLES}
    | {
        "network_data_format": {
            "properties": {
                name: {"type": "object", "minProperties": 1, "additionalProperties": IMAGE}
                for name in ("inputs", "outputs")
            },
            "required": ["inputs", "outputs"],
        }
    },
    "required": [*TEXTS, *TABLES, "network_data_format"],
}
"""The keys that the specification of bundles demands, in our own words: the published schema would
have to be fetched."""

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
        assert len(np.unique(values)) > 1
        assert (values == expected.values).all()
        return
    low, high = model.prepare.window or (0.0, 1.0)
    (restored,) = expected.values
    assert np.ptp(restored) > 0.1 * (high - low)
    assert np.abs(values.reshape(restored.shape) - restored).max() < NEAR * (high - low)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "segmentation, z-score",
        "restoration of volumes",
        "classification",
        "classification of small pictures",
        "classification, private",
    ],
)
def test_network_is_verified_and_exported_as_a_program(tmp_path: Path, name: str) -> None:
    bundle = MODELS[name].export(tmp_path)
    monai_bundle("verify_net_in_out", bundle, "network_def", "--device", "cpu", "--n", "1")
    program = tmp_path / "model.ts"
    words = ("--ckpt_file", bundle / "models" / "model.pt", "--filepath", program)
    monai_bundle("ckpt_export", bundle, "network_def", *words)
    assert program.stat().st_size > 0


@pytest.mark.slow
def test_metadata_follows_a_schema(tmp_path: Path) -> None:
    pytest.importorskip("jsonschema")
    bundle = MODELS["classification"].export(tmp_path)
    # MONAI takes a schema that is there already, and fetches none.
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    monai_bundle("verify_metadata", bundle, "--filepath", schema)
    schema.write_text(json.dumps(SCHEMA | {"required": ["another"]}), encoding="utf-8")
    with pytest.raises(AssertionError, match="another"):
        monai_bundle("verify_metadata", bundle, "--filepath", schema)
