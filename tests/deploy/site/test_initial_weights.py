"""All sites begin with the agreed weights, and a site without them does not begin at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from clients.networks.build import initial_network
from clients.networks.weights import get_weights
from srflm_flower.run.simulated_site import SimulatedSite
from strategies.errors import ConfigurationError
from strategies.weights import Model
from tests.support.deployed import DeployedFederation
from tests.support.tiny import conduct, new_run, tiny_federation

NAMES = ("a", "b", "c")


def agreed_weights(folder: Path) -> tuple[Model, dict[str, object]]:
    """Write weights of another seed; return them, and the setting that names them."""
    plain = tiny_federation(folder, NAMES)
    model = Model.of(get_weights(initial_network(plain.network_settings, plain.task, 4711)))
    file = folder / "begin.safetensors"
    file.write_bytes(model.data)
    digest = hashlib.sha256(model.data).hexdigest()
    return model, {"model__initial_weights": {"file": file, "sha256": digest}}


def test_simulation_begins_with_the_agreed_weights(tmp_path: Path) -> None:
    model, setting = agreed_weights(tmp_path)
    run = new_run(tiny_federation(tmp_path, NAMES, run__rounds=1, **setting), tmp_path / "run")
    assert conduct(run).status == "completed"
    found = SimulatedSite.at(run.path, 0)
    assert found is not None and found.run.first.shared.hash == model.hash


def test_sites_begin_with_the_weights_beside_their_federation_file(tmp_path: Path) -> None:
    model, setting = agreed_weights(tmp_path)
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, NAMES, **setting))
    (tmp_path / "begin.safetensors").unlink()  # each site has its own copy
    assert {sites.site(vendor).initial.hash for vendor in NAMES} == {model.hash}
    given = sites.site("c").federation.model.initial_weights
    assert given is not None
    given.file.write_bytes(b"others")
    with pytest.raises(ConfigurationError, match="SHA-256"):
        sites.site("c").begin()
    given.file.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        sites.site("c").begin()
