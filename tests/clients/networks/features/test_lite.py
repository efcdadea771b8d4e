"""EfficientNet-Lite0 gives the features of its public weights, and of the agreed ones alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.networks.nets import EfficientNet
from torch import nn

from clients.feature_settings import FeatureSettings
from clients.networks.features.leaves import dead_leaves
from clients.networks.features.lite import STAGES, Lite
from strategies.errors import ConfigurationError
from tests.clients.networks.features.public_weights import public_arrays, write_public

Arrays = dict[str, torch.Tensor]


def test_features_are_those_of_monais_network_with_batch_norm(tmp_path: Path) -> None:
    settings = FeatureSettings(**write_public(tmp_path / "public.safetensors"))
    whole = EfficientNet(list(STAGES), image_size=32).eval()
    arrays = public_arrays()
    state = whole.state_dict()
    for name in state:
        first, *others = name.split(".")
        public = ".".join([first, *others[1:]]) if first == "_blocks" else name
        if public in arrays:
            state[name].copy_(arrays[public])
    for module in list(whole.modules()):
        if hasattr(module, "_swish"):
            module._swish = nn.ReLU6()
    images = dead_leaves(2, 3, 32)
    with torch.no_grad():
        inner = whole._swish(whole._bn0(whole._conv_stem(whole._conv_stem_padding(images))))
        expected = []
        for stage in whole._blocks:
            inner = stage(inner)
            expected.append(inner)
        found = Lite(settings).eval()(images)
    means = torch.cat([each.mean((2, 3)) for each in expected], dim=1)
    assert found.shape == (2, 1568)
    assert torch.allclose(found[:, :784], means, rtol=1e-3, atol=1e-4)
    sizes = torch.cat([each.square().mean((2, 3)).sqrt() for each in expected], dim=1)
    assert torch.allclose(found[:, 784:], sizes, rtol=1e-3, atol=1e-4)


def test_grey_images_are_colour_images_without_colour(tmp_path: Path) -> None:
    network = Lite(FeatureSettings(**write_public(tmp_path / "public.safetensors"))).eval()
    grey = dead_leaves(2, 1, 32)
    with torch.no_grad():
        assert torch.equal(network(grey), network(grey.expand(-1, 3, -1, -1)))


def without(arrays: Arrays) -> None:
    del arrays["_blocks.3._bn1.bias"]


def another_shape(arrays: Arrays) -> None:
    arrays["_conv_stem.weight"] = torch.zeros(32, 1, 3, 3)


def not_finite(arrays: Arrays) -> None:
    arrays["_bn0.bias"] = torch.full((32,), float("nan"))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (without, "weights without _blocks.3._bn1.bias"),
        (another_shape, r"_conv_stem.weight has the shape \(32, 1, 3, 3\)"),
        (not_finite, "_bn0.bias has values that are no finite numbers"),
    ],
)
def test_file_with_other_arrays_is_one_error(
    change: Callable[[Arrays], None], found: str, tmp_path: Path
) -> None:
    arrays = public_arrays()
    change(arrays)
    settings = FeatureSettings(**write_public(tmp_path / "public.safetensors", arrays))
    with pytest.raises(ConfigurationError, match=found):
        Lite(settings)


def test_file_that_is_missing_or_another_is_one_error(tmp_path: Path) -> None:
    table = write_public(tmp_path / "public.safetensors")
    for changed, found in (
        ({"file": tmp_path / "gone.safetensors"}, r"model\.features\.file = .*cannot be read"),
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"file": None}, "without file and sha256"),
    ):
        with pytest.raises(ConfigurationError, match=found):
            Lite(FeatureSettings(**{**table, **changed}))
