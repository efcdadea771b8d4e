"""Whole federations in memory that segment and restore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from clients.data.sources import load_vendor_data
from clients.imaging.reading import read_volume
from clients.models.model_file import ModelFile, load_model
from clients.networks.build import initial_network
from clients.networks.residual import Residual
from clients.networks.weights import get_weights
from deploy.cli import app
from srflm_flower.attacks.membership_inference import Shadows, attack_training
from srflm_flower.comparison.methods import run_baseline, run_srflm
from srflm_flower.federation.checks import problems_between_tables
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.preflight import check_before_simulation
from strategies.errors import ConfigurationError, DataError
from tests.support.dicom_series import affine_of, slices_of, write_series
from tests.support.tiny import conduct, new_run, records_of

NETS: dict[str, dict[str, Any]] = {
    "segmentation": {"network": "UNet", "arguments": {"channels": [4, 8], "strides": [2]}},
    "restoration": {"network": "dncnn", "arguments": {"depth": 3, "width": 8}},
}


def phantom(kind: str, **changes: Any) -> Federation:
    """Return a federation of three vendors on small slices of the phantom."""
    tables: dict[str, Any] = {
        "name": kind,
        "vendors": [{"name": name} for name in "abc"],
        "task": {"kind": kind},
        "data": {"source": "phantom", "examples": 30, "image-size": 32},
        "model": NETS[kind],
        "training": {
            "optimizer": "adam",
            "learning-rate": 0.01,
            "client-epochs": 2,
            "server-epochs": 3,
        },
        "run": {"rounds": 3, "device": "cpu"},
    }
    return Federation.model_validate(tables | changes)


def private(kind: str, **changes: Any) -> Federation:
    """Return the same federation with differential privacy and hardly any work."""
    settings = {
        "unit": "record",
        "batch-size": 6,
        "client-steps": 2,
        "server-steps": 3,
        "server-terms": 9,
        "client-noise": 2.0,
        "server-noise": 2.0,
        "delta": 1e-3,
        "metrics": "noisy",
        "metrics-noise": 1.0,
    }
    vendors = [{"name": name, "size": 18} for name in "abc"]
    return phantom(kind, **({"privacy": settings, "vendors": vendors} | changes))


@pytest.mark.parametrize("kind", NETS)
def test_federation_learns_the_task(tmp_path: Path, kind: str) -> None:
    federation = phantom(kind)
    check_before_simulation(federation)
    folder = new_run(federation, tmp_path / "run")
    summary = conduct(folder)
    assert summary.status == "completed"
    metric = federation.task.metric
    first, last = (
        np.mean([each.finetuned[metric] for each in record.metrics.values()])
        for record in (records_of(folder)[0], records_of(folder)[-1])
    )
    assert last > first
    for vendor in summary.vendors.values():
        for metrics in (vendor.personalised, vendor.released):
            assert federation.task.metrics.keys() >= metrics.keys() - {"loss", "examples"}
            assert metric in metrics
            assert ("hd95" in metrics) == (kind == "segmentation")
    title = {"segmentation": "Dice", "restoration": "PSNR (dB)"}[kind]
    page = folder.report.read_text(encoding="utf-8")
    assert f"{title} on each vendor" in page and "accuracy" not in page.lower()
    assert page.count("Validation cases of ") == 2 * len(federation.roster)
    assert len(page) < 900_000 and not folder.cases.exists()


def test_restoration_learns_a_correction_of_the_input(tmp_path: Path) -> None:
    net = {"network": "UNet", "arguments": NETS["segmentation"]["arguments"]}
    federation = phantom("restoration", model=net, run={"rounds": 1, "device": "cpu"})
    folder = new_run(federation, tmp_path / "run")
    conduct(folder)
    network = load_model(folder.global_model)
    assert isinstance(network, Residual)
    # Nothing in it removes absolute intensity.
    assert not any("Norm" in type(each).__name__ for each in network.modules())
    images = load_vendor_data(federation.data_plan(), "a").test.images
    with torch.no_grad():
        torch.testing.assert_close(network(images), images + network.network(images))


def test_private_segmentation_tells_noisy_dice_and_nothing_else(tmp_path: Path) -> None:
    folder = new_run(private("segmentation"), tmp_path / "run")
    assert conduct(folder).status == "completed"
    told = [
        metrics
        for record in records_of(folder)
        for vendor in record.metrics.values()
        for metrics in (vendor.averaged, vendor.finetuned, vendor.personalised)
        if metrics
    ]
    assert told and {frozenset(each) for each in told} == {frozenset({"dice", "examples"})}
    assert all(0 <= each["dice"] <= 1 and each["dice"] == round(each["dice"], 3) for each in told)
    # Pictures are no noisy numbers.
    assert "image/png" not in folder.report.read_text(encoding="utf-8")
    assert not folder.cases.exists()


def test_private_restoration_tells_psnr_in_its_range(tmp_path: Path) -> None:
    folder = new_run(private("restoration"), tmp_path / "run")
    assert conduct(folder).status == "completed"
    told = [v.finetuned for record in records_of(folder) for v in record.metrics.values()]
    assert all(each.keys() == {"psnr", "examples"} and 0 <= each["psnr"] <= 60 for each in told)


@pytest.mark.parametrize("kind", NETS)
def test_baselines_run_at_the_same_number_of_steps(tmp_path: Path, kind: str) -> None:
    federation = phantom(kind, run={"rounds": 2, "device": "cpu"})
    srflm, budget = run_srflm(federation, tmp_path / "srflm")
    pooled = run_baseline("pooled", federation, tmp_path / "pooled", budget, 0.0)
    assert srflm.steps == pooled.steps
    for result in (srflm, pooled):
        assert result.personalised.keys() == set("abc")
        assert result.global_all is not None


@pytest.mark.parametrize("kind", NETS)
def test_membership_is_attacked_by_the_loss_of_each_record(kind: str) -> None:
    data = {"source": "phantom", "examples": 80, "image-size": 32}
    vendors = [{"name": name, "size": 48} for name in "abc"]
    federation = private(kind).model_copy(
        update={
            "data": phantom(kind, data=data).data,
            "vendors": phantom(kind, vendors=vendors).vendors,
        }
    )
    found = attack_training(federation, Shadows("a", 4, 3), None, np.random.default_rng(0))
    assert 0 <= found.attack.auc <= 1
    low, high = federation.task.metrics[federation.task.released].bound
    assert low < found.score < high


@pytest.mark.parametrize("kind", NETS)
def test_prediction_is_written_into_a_folder(tmp_path: Path, kind: str) -> None:
    federation = phantom(kind, run={"rounds": 1, "device": "cpu"})
    folder = new_run(federation, tmp_path / "run")
    conduct(folder)
    images = (load_vendor_data(federation.data_plan(), "a").test.images + 1) / 2
    (tmp_path / "images").mkdir()
    for number in range(2):
        np.save(tmp_path / "images" / f"{number}.npy", images[number, 0].numpy())
    words = ["predict", str(folder.global_model), str(tmp_path / "images")]
    with pytest.raises(DataError, match="--output FOLDER"):
        raise CliRunner().invoke(app, words).exception or AssertionError
    out = ["--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*words, *out])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "file,result"
    found = np.load(tmp_path / "out" / "0.npy")
    assert found.shape == ((32, 32) if kind == "segmentation" else (1, 32, 32))
    # A second call writes over nothing.
    again = CliRunner().invoke(app, [*words, *out])
    assert again.exit_code == 1 and "is there already" in str(again.exception)


def test_network_for_classes_is_refused_for_masks() -> None:
    with pytest.raises(ConfigurationError, match="maps images to images"):
        check_before_simulation(phantom("segmentation", model={"network": "small-cnn"}))


def test_images_that_the_network_cannot_halve_are_refused_before_the_run() -> None:
    data = {"source": "phantom", "examples": 30, "image-size": 33}
    with pytest.raises(ConfigurationError, match="multiples of 2"):
        check_before_simulation(phantom("segmentation", data=data))


def test_division_by_class_is_refused_where_there_are_no_classes() -> None:
    data = {"source": "npz", "path": "x.npz"}
    (problem,) = problems_between_tables(phantom("segmentation", data=data))
    assert "'dirichlet'; expected 'shares', as examples for segmentation have no class" in problem
    shares = {**data, "partition": {"kind": "shares", "shares": [1, 2]}}
    (problem,) = problems_between_tables(phantom("segmentation", data=shares))
    assert "found 2 numbers; expected one for each of the 3 vendors" in problem
    right = {**data, "partition": {"kind": "shares"}}
    assert problems_between_tables(phantom("segmentation", data=right)) == []


def test_series_in_a_folder_are_images_of_their_own(tmp_path: Path) -> None:
    """Each gives a mask that lies where its slices lie; what is no image is named."""
    task = {"kind": "segmentation", "classes": ["background", "organ"], "spatial-dims": 3}
    federation = phantom("segmentation", task=task)
    network = initial_network(federation.network_settings, federation.task, 1)
    model = tmp_path / "model.safetensors"
    weights = get_weights(network)
    ModelFile(federation.network_settings, federation.task, weights, {}).write(model)
    affine = affine_of((1.0, 1.0, 2.0))
    for number in range(2):
        values = np.random.default_rng(number).integers(0, 900, (8, 12, 16)).astype(np.int16)
        write_series(tmp_path / "images" / f"series {number}", slices_of(values, affine))
    (tmp_path / "images" / "notes.txt").write_text("no image")
    out = tmp_path / "out"
    words = ["predict", str(model), str(tmp_path / "images"), "--output", str(out)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1 and "notes.txt is left out: no image" in result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["series 0.nii.gz", "series 1.nii.gz"]
    volume = read_volume(tmp_path / "images" / "series 0")
    mask = read_volume(out / "series 0.nii.gz")
    assert mask.values.shape == volume.values.shape
    assert mask.affine is not None and volume.affine is not None
    np.testing.assert_allclose(mask.affine, volume.affine, atol=1e-3)
