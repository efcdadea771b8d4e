"""A model on wavelets can be a bundle; one on a file of public weights cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from clients.bundles.agreed_network import agreed_network
from clients.bundles.network_entry import network_entry
from clients.feature_settings import FeatureSettings
from clients.networks.build import initial_network
from clients.networks.features.leaves import dead_leaves
from clients.settings import ModelSettings
from clients.tasks.settings import ClassificationSettings
from strategies.errors import ConfigurationError
from tests.clients.networks.features.public_weights import write_public

TASK = ClassificationSettings(classes=("one", "two"), channels=3)


def test_network_on_wavelets_is_built_from_its_entry() -> None:
    model = ModelSettings(network="linear", features=FeatureSettings(kind="scattering", side=16))
    network = initial_network(model, TASK, 1)
    torch.nn.init.normal_(network.get_parameter("layer.weight"))
    entry = network_entry(model, TASK, None, network)
    assert entry.needs_us
    definition = {key: each for key, each in entry.definition.items() if key != "_target_"}
    again = agreed_network(**definition)
    again.load_state_dict(entry.state)
    images = dead_leaves(2, 3, 16)
    assert torch.allclose(again.eval()(images), network.eval()(images))


def test_network_on_a_file_of_weights_is_refused_with_the_reason(tmp_path: Path) -> None:
    features = FeatureSettings(**write_public(tmp_path / "public.safetensors"))
    model = ModelSettings(network="linear", features=features)
    network = initial_network(model, TASK, 1)
    with pytest.raises(ConfigurationError, match="frozen features from a file"):
        network_entry(model, TASK, None, network)
