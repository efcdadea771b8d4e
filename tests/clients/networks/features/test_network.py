"""A network on frozen features: only its layer and its centre are weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from clients.feature_settings import FeatureSettings
from clients.models.model_file import ModelFile, load_model
from clients.networks.build import initial_network, try_network
from clients.networks.features.leaves import dead_leaves
from clients.networks.features.network import SHARE, FeatureNetwork
from clients.networks.weights import get_weights, set_weights
from clients.privacy.gradients.gradients import LoopGradients, VmapGradients
from clients.privacy.gradients.guard import check_dp_ready
from clients.privacy.gradients.mode import choose_mode
from clients.settings import ModelSettings
from clients.tasks.losses import cross_entropy
from clients.tasks.settings import ClassificationSettings
from strategies.errors import ConfigurationError
from tests.clients.networks.features.public_weights import write_public

TASK = ClassificationSettings(classes=("one", "two", "three"), channels=3)
WAVELETS = ModelSettings(network="linear", features=FeatureSettings(kind="scattering", side=16))
IMAGES = dead_leaves(5, 3, 12)


def network(model: ModelSettings = WAVELETS) -> FeatureNetwork:
    found = initial_network(model, TASK, 1)
    assert isinstance(found, FeatureNetwork)
    return found


def lite(folder: Path) -> ModelSettings:
    table = write_public(folder / "public.safetensors")
    return ModelSettings(network="linear", features=FeatureSettings(**table))


def both(folder: Path) -> ModelSettings:
    table = write_public(folder / "public.safetensors") | {"kind": "both", "scattering_side": 16}
    return ModelSettings(network="linear", features=FeatureSettings(**table))


MODELS = {"scattering": lambda _: WAVELETS, "efficientnet-lite0": lite, "both": both}


@pytest.mark.parametrize("kind", MODELS)
def test_only_layer_and_centre_are_weights(kind: str, tmp_path: Path) -> None:
    built = network(MODELS[kind](tmp_path))
    names = {"centre", "layer.weight", "layer.bias"}
    assert get_weights(built).keys() == names
    assert {name for name, _ in built.named_parameters()} == names
    facts = try_network(MODELS[kind](tmp_path), TASK, None, 1)
    assert facts.sent == 4 * sum(array.size for array in get_weights(built).values())
    assert not facts.over_batch


def test_both_are_the_two_side_by_side_each_as_long_as_the_other(tmp_path: Path) -> None:
    found, parts = network(both(tmp_path)), [network(lite(tmp_path)), network(WAVELETS)]
    features = found.features_of(IMAGES)
    torch.testing.assert_close(features, torch.cat([p.features_of(IMAGES) for p in parts], dim=1))
    split = parts[0].extractor.features
    lengths = [part.square().sum(1).mean() for part in features.tensor_split((split,), dim=1)]
    assert 0.1 < lengths[0] / lengths[1] < 10


def test_training_leaves_the_features_as_they_are(tmp_path: Path) -> None:
    built = network(lite(tmp_path))
    before = built.features_of(IMAGES)
    built.train()
    optimiser = torch.optim.SGD(built.parameters(), 1.0, momentum=0.9)
    for _ in range(3):
        cross_entropy(built(IMAGES), torch.arange(5) % 3).mean().backward()
        optimiser.step()
    assert not torch.equal(get_tensor(built, "centre"), torch.zeros(()))
    again = built.extractor(IMAGES)
    assert torch.equal(again, built.train()._features(IMAGES))
    assert torch.allclose(before, again, atol=1e-5)


def get_tensor(built: FeatureNetwork, name: str) -> torch.Tensor:
    return torch.from_numpy(get_weights(built)[name])


def test_images_and_their_features_give_the_same_logits() -> None:
    built = network()
    torch.nn.init.normal_(built.layer.weight)
    for mode in (True, False):
        built.train(mode)
        assert torch.allclose(built(IMAGES), built(built.features_of(IMAGES)), atol=1e-5)


def test_features_do_not_depend_on_the_other_images() -> None:
    built = network()
    torch.nn.init.normal_(built.layer.weight)
    check_dp_ready(built, torch.randn(3, 3, 12, 12))


def test_public_images_have_standardised_features() -> None:
    extractor = network().extractor
    features = extractor(dead_leaves(128, 3, 16)) * math.sqrt(extractor.features)
    assert float(features.mean(0).abs().max()) < 1e-3
    assert float((features.std(0) - 1).abs().median()) < 1e-3


def test_centre_moves_to_the_middle_of_the_features() -> None:
    built = network()
    features = torch.randn(64, built.extractor.features) / 4 + 0.5
    built.train()
    optimiser = torch.optim.SGD([built.centre], 100.0)
    for _ in range(300):
        optimiser.zero_grad()
        built(features).sum().backward()  # whatever the loss
        optimiser.step()
    middle = features.mean(0)
    found = features[0] - built_away(built, features)[0]
    assert float((found - middle).norm()) < 0.1 * float(middle.norm())


def built_away(built: FeatureNetwork, features: torch.Tensor) -> torch.Tensor:
    """Return x − c, whose direction the layer gets."""
    seen: list[torch.Tensor] = []
    hook = built.layer.register_forward_hook(lambda _layer, inputs, _output: seen.append(inputs[0]))
    with torch.no_grad():
        built(features)
    hook.remove()
    lengths = (features - 0.1 * built.centre.detach()).norm(dim=1, keepdim=True)
    return seen[0] * lengths


def test_no_record_pulls_the_centre_by_more_than_its_share() -> None:
    built = network()
    features = 1e3 * torch.randn(6, built.extractor.features)
    targets = torch.arange(6) % 3
    rows, _ = LoopGradients(built, cross_entropy).per_record(features, targets)
    assert torch.allclose(rows[0].norm(dim=1), torch.full((6,), SHARE), rtol=1e-4)
    together, _ = VmapGradients(built, cross_entropy).per_record(features, targets)
    for one, other in zip(rows, together, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert choose_mode("auto", built, features, targets, cross_entropy) == "vmap"


def test_model_file_brings_the_network_back_with_its_features_beside_it(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    model = lite(tmp_path)
    built = network(model).eval()
    weights = {name: np.full_like(each, 0.01) for name, each in get_weights(built).items()}
    set_weights(built, weights)
    path = tmp_path / "site" / "global.safetensors"
    ModelFile(model, TASK, weights, {}).write(path)
    assert str(tmp_path).encode() not in path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"public\.safetensors.*cannot be read"):
        load_model(path)
    (tmp_path / "site" / "public.safetensors").write_bytes(b"another")
    with pytest.raises(ConfigurationError, match="SHA-256"):
        load_model(path)
    (tmp_path / "public.safetensors").replace(tmp_path / "site" / "public.safetensors")
    assert torch.equal(load_model(path)(IMAGES), built(IMAGES))
