"""Rules of the four classifiers with names of their own."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from clients.networks.build import build_network, initial_network
from clients.networks.small import SmallCNN
from clients.networks.stock import pad_small_images
from clients.networks.weights import get_weights
from clients.settings import ModelSettings, Network
from strategies.weights import hash_weights
from tests.support.learning.tasks import classification

NETWORKS = get_args(Network)


def model(network: str, norm: str = "batch") -> ModelSettings:
    return ModelSettings.model_validate({"network": network, "norm": norm})


@pytest.mark.parametrize(("channels", "size", "classes"), [(3, 28, 8), (1, 64, 4)])
@pytest.mark.parametrize("name", NETWORKS)
def test_network_gives_a_logit_a_class(name: str, channels: int, size: int, classes: int) -> None:
    network = build_network(model(name), classification(channels=channels, classes=classes)).eval()
    with torch.no_grad():
        logits = network(torch.zeros(2, channels, size, size))
    assert logits.shape == (2, classes)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("name", NETWORKS)
def test_network_can_be_trained_on_the_smallest_images_in_use(name: str) -> None:
    network = build_network(model(name), classification(channels=3, classes=4)).train()
    network(torch.zeros(2, 3, 28, 28)).sum().backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", NETWORKS)
def test_network_can_be_built_for_volumes(name: str) -> None:
    network = build_network(model(name), classification(spatial_dims=3, classes=4))
    assert any(isinstance(module, nn.Conv3d) for module in network.modules())
    if name == "small-cnn":
        assert network.eval()(torch.zeros(2, 1, 16, 16, 16)).shape == (2, 4)


def test_small_volumes_are_padded_too() -> None:
    assert pad_small_images(nn.Identity(), (torch.zeros(1, 1, 16, 40, 33),))[0].shape[2:] == (
        32,
        40,
        33,
    )


def test_small_images_are_padded_by_their_border_and_large_ones_left_alone() -> None:
    images = torch.arange(28.0 * 30).reshape(1, 1, 28, 30)
    (padded,) = pad_small_images(nn.Identity(), (images,))
    assert padded.shape == (1, 1, 32, 32)
    assert torch.equal(padded[..., 2:30, 1:31], images)
    assert padded[0, 0, 0, 0] == images[0, 0, 0, 0]
    large = torch.zeros(1, 1, 32, 64)
    assert pad_small_images(nn.Identity(), (large,))[0] is large


@pytest.mark.parametrize("size", [8, 9, 31])
def test_small_cnn_takes_any_size_from_eight(size: int) -> None:
    assert SmallCNN(2, 1, 3, "batch").eval()(torch.zeros(1, 1, size, size)).shape == (1, 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_initial_weights_follow_from_the_seed_alone(name: str) -> None:
    torch.manual_seed(1)
    one = get_weights(initial_network(model(name), classification(classes=4), 65))
    torch.manual_seed(2)
    same = get_weights(initial_network(model(name), classification(classes=4), 65))
    other = get_weights(initial_network(model(name), classification(classes=4), 66))
    assert hash_weights(one) == hash_weights(same) != hash_weights(other)


def test_making_the_initial_network_leaves_the_process_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    initial_network(model("small-cnn"), classification(classes=4), 65)
    assert torch.equal(torch.rand(1), expected)


def test_group_norm_has_no_running_statistics() -> None:
    network = build_network(model("small-cnn", "group"), classification(classes=4))
    groups = [module for module in network.modules() if isinstance(module, nn.GroupNorm)]
    assert [group.num_groups for group in groups] == [8, 8, 8]
    assert not any("running" in name for name in get_weights(network))
    images = torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(network.train()(images), network.eval()(images))
    torch.testing.assert_close(network(images)[:1], network(images[:1]))


def test_batch_norm_statistics_travel() -> None:
    weights = get_weights(build_network(model("small-cnn"), classification(classes=4)))
    assert sum("running" in name for name in weights) == 6


def test_width_is_that_of_the_first_block_and_the_default_is_32() -> None:
    def widths(**settings: int) -> list[int]:
        chosen = ModelSettings.model_validate({"network": "small-cnn", **settings})
        weights = get_weights(build_network(chosen, classification(classes=4)))
        return [array.shape[0] for array in weights.values() if array.ndim == 4]

    assert widths(width=16) == [16, 32, 64]
    assert widths() == [32, 64, 128]


@pytest.mark.parametrize("width", [0, 12])
def test_width_can_be_divided_into_groups(width: int) -> None:
    with pytest.raises(ValueError, match="width"):
        ModelSettings.model_validate({"network": "small-cnn", "width": width})
