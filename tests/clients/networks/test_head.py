"""Which weights are the head of a network."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import DynUNet, UNet
from torch import nn

from clients.networks.head import head_weights
from clients.networks.small import SmallCNN
from clients.networks.weights import get_weights


def test_head_of_the_small_cnn_is_its_linear_layer() -> None:
    network = SmallCNN(2, 3, 4, "batch")
    assert head_weights(network, torch.zeros(0, 3, 16, 16)) == {
        "classifier.weight",
        "classifier.bias",
    }


@pytest.mark.parametrize(
    "network",
    [UNet(2, 1, 3, (4, 8), (2,)), DynUNet(2, 1, 3, [3, 3, 3], [1, 2, 2], [2, 2], [4, 8, 8])],
    ids=["UNet", "DynUNet"],
)
def test_head_of_a_segmenting_network_makes_its_output(network: nn.Module) -> None:
    names = head_weights(network, torch.zeros(0, 1, 16, 16))
    shapes = [get_weights(network)[name].shape for name in names]
    assert names
    assert all(3 in shape[:2] for shape in shapes), "three classes come out"


def test_head_is_what_runs_last_and_not_what_is_written_last() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(4, 2), nn.Linear(3, 4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(self.last(self.first(images)))

    assert head_weights(Backwards(), torch.zeros(0, 3)) == {"last.weight", "last.bias"}


def test_looking_changes_no_statistics_and_no_mode() -> None:
    network = SmallCNN(2, 1, 2, "batch").train()
    before = get_weights(network)
    head_weights(network, torch.zeros(0, 1, 16, 16))
    after = get_weights(network)
    assert network.training
    assert all((before[name] == after[name]).all() for name in before)
