"""Whole runs on frozen features: learning, private or not; only the layer and centre travel."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors import safe_open

from clients.models.model_file import load_model, read_model_file
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.federation.preflight import check_before_simulation
from strategies.errors import ConfigurationError
from tests.clients.networks.features.public_weights import write_public
from tests.support.tiny import conduct, new_run, private, records_of, tiny_federation

WAVELETS = {
    "model__network": "linear",
    "model__features": {"kind": "scattering", "side": 16, "angles": 4},
}
NAMES = {"centre", "layer.weight", "layer.bias"}


def test_plain_run_learns(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path, training__learning_rate=2.0, **WAVELETS)
    folder = new_run(federation, tmp_path / "run")
    conduct(folder)
    accuracy = [
        sum(metrics.finetuned["accuracy"] for metrics in record.metrics.values()) / 4
        for record in records_of(folder)
    ]
    assert accuracy[-1] > 0.8


def test_private_run_sends_only_layer_and_centre(tmp_path: Path) -> None:
    federation = private(tmp_path, **WAVELETS)
    folder = new_run(federation, tmp_path / "run")
    conduct(folder)
    stored = list(folder.site_store.glob("*.safetensors"))
    assert stored
    for path in (*stored, folder.global_model):
        with safe_open(str(path), framework="numpy") as file:
            assert set(file.keys()) == NAMES
    load_model(folder.global_model)


def with_public_weights(folder: Path) -> Federation:
    return with_changes(
        private(folder),
        model__network="linear",
        model__features=write_public(folder / "public.safetensors"),
        run__rounds=1,
    )


def test_run_with_features_from_a_file_tells_nothing_of_where_it_lies(tmp_path: Path) -> None:
    folder = new_run(with_public_weights(tmp_path), tmp_path / "run")
    conduct(folder)
    assert set(read_model_file(folder.global_model).weights) == NAMES
    assert str(tmp_path).encode() not in folder.global_model.read_bytes()


@pytest.mark.parametrize("change", ["gone", "another"])
def test_features_that_are_gone_or_others_stop_the_run(change: str, tmp_path: Path) -> None:
    federation = with_public_weights(tmp_path)
    file = tmp_path / "public.safetensors"
    if change == "gone":
        file.unlink()
    else:
        file.write_bytes(b"another")
    with pytest.raises(ConfigurationError, match=r"model\.features|SHA-256"):
        check_before_simulation(federation)
