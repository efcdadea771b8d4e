"""Whole federations in memory with a network of MONAI by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.nets import DenseNet, ResNet

from clients.data.sources import load_vendor_data
from clients.models.model_file import load_model, read_model_file
from clients.privacy.gradients.networks import BATCH_NORMS
from clients.settings import ModelSettings
from srflm_flower.federation import network_trial
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, with_changes
from srflm_flower.federation.network_trial import check_network_on
from srflm_flower.federation.preflight import check_before_simulation
from strategies.errors import ConfigurationError
from tests.support.tiny import conduct, new_run, private, records_of, tiny_federation

DENSE_NET = {
    "model__network": "DenseNet",
    "model__arguments": {"init_features": 8, "growth_rate": 4, "block_config": [2, 2]},
}
RES_NET = {
    "model__network": "ResNet",
    "model__arguments": {
        "block": "basic",
        "layers": [1, 1, 1, 1],
        "block_inplanes": [8, 8, 16, 16],
        "no_max_pool": True,
    },
}


def phantom(**changes: Any) -> Federation:
    return with_changes(
        built_in_federation(3),
        **DENSE_NET,
        data__examples=40,
        data__image_size=32,
        run__rounds=2,
        run__device="cpu",
        training__client_epochs=1,
        training__server_epochs=1,
        **changes,
    )


def test_phantom_is_classified_by_a_network_of_monai(tmp_path: Path) -> None:
    federation = phantom()
    check_before_simulation(federation)
    folder = new_run(federation, tmp_path / "run")
    summary = conduct(folder)
    assert summary.status == "completed"
    assert len(records_of(folder)) == 2
    network = load_model(folder.global_model)
    assert isinstance(network, DenseNet)
    file = read_model_file(folder.global_model)
    assert dict(file.model.arguments) == DENSE_NET["model__arguments"]
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 4)
    assert "growth_rate 4" in folder.report.read_text(encoding="utf-8")


def test_private_training_has_no_batch_norm(tmp_path: Path) -> None:
    federation = private(tmp_path, **RES_NET)
    check_before_simulation(federation)
    folder = new_run(federation, tmp_path / "run")
    assert conduct(folder).status == "completed"
    records = records_of(folder)
    assert len(records) == federation.run.rounds
    network = load_model(folder.global_model)
    assert isinstance(network, ResNet)
    assert not any(isinstance(each, BATCH_NORMS) for each in network.modules())


def test_network_built_for_one_size_comes_back_from_its_file(tmp_path: Path) -> None:
    changes = {"model__network": "Classifier"}
    arguments = {"channels": [4, 8], "strides": [2, 2], "num_res_units": 1}
    federation = with_changes(phantom(), **changes, model__arguments=arguments)
    folder = new_run(federation, tmp_path / "run")
    conduct(folder)
    with torch.no_grad():
        assert load_model(folder.global_model)(torch.zeros(1, 1, 32, 32)).shape == (1, 4)


def test_notes_tell_the_shape_of_flat_volumes() -> None:
    flat = phantom(task__spatial_dims=3)
    assert flat.image_shape == (1, 32, 32)
    assert flat.model_notes()["image-shape"] == (1, 32, 32)
    assert "image-shape" not in phantom().model_notes()
    assert phantom().image_shape == (32, 32)


def test_size_is_known_only_from_the_data_of_a_file(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path, **RES_NET)
    assert federation.image_shape is None
    check_before_simulation(federation)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model__network": "DenseNet121", "model__arguments": {}}, "images of 8 × 8"),
        ({"model__network": "Nothing"}, "Nothing"),
        ({**DENSE_NET, "training__batch_size": 1}, "batch-size = 1"),
    ],
)
def test_network_that_does_not_fit_is_refused_before_the_run_and_at_a_site(
    tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    federation = tiny_federation(tmp_path, **changes)
    with pytest.raises(ConfigurationError, match=text):
        check_before_simulation(federation)
    with pytest.raises(ConfigurationError, match=text):
        check_network_on(federation, load_vendor_data(federation.data_plan(), "a"))


def test_runs_of_the_four_of_old_start_without_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the network was tried")

    monkeypatch.setattr(network_trial, "try_network", never)
    check_before_simulation(with_changes(phantom(), model=ModelSettings()))
    with pytest.raises(AssertionError):
        check_before_simulation(phantom())
