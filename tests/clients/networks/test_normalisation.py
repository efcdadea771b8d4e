"""Which weights belong to normalisation layers."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import UNet
from torch import nn

from clients.networks.normalisation import normalisation_weights
from clients.networks.small import SmallCNN
from clients.networks.weights import get_weights


@pytest.mark.parametrize(("norm", "kinds"), [("batch", 4), ("group", 2)])
def test_small_cnn_has_one_layer_a_convolution(norm: str, kinds: int) -> None:
    network = SmallCNN(2, 3, 4, norm)
    names = normalisation_weights(network)
    assert len(names) == 3 * kinds, "weight and bias, and with batch norm two statistics"
    assert names < get_weights(network).keys()
    assert not {n for n in names if n.startswith("classifier")}


def test_rest_is_what_two_cameras_can_share() -> None:
    """Networks that differ in their normalisation only differ in these names only."""
    network = SmallCNN(2, 3, 4, "batch")
    before = get_weights(network)
    network.train()
    with torch.no_grad():
        network(torch.rand(4, 3, 16, 16) * 5)  # moves the running statistics, no parameter
    after = get_weights(network)
    moved = {name for name in before if (before[name] != after[name]).any()}
    assert moved
    assert moved < normalisation_weights(network)


def test_instance_norm_and_none() -> None:
    affine = UNet(3, 1, 2, (4, 8), (2,), norm=("instance", {"affine": True}))
    assert normalisation_weights(affine)
    assert normalisation_weights(UNet(3, 1, 2, (4, 8), (2,), norm="instance")) == frozenset()
    assert normalisation_weights(nn.Linear(2, 2)) == frozenset()
    assert normalisation_weights(nn.LayerNorm(3)) == {"weight", "bias"}
