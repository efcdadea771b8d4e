"""Every network can be made ready, and is the same network afterwards."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.networks.blocks import UnetResBlock
from monai.networks.blocks.segresnet_block import ResBlock
from monai.networks.nets import DynUNet, SegResNet
from monai.networks.nets.resnet import ResNetBlock, ResNetBottleneck
from monai.networks.nets.segresnet_ds import SegResBlock
from torch import nn

from clients.privacy.gradients.guard import check_dp_ready
from clients.privacy.gradients.networks import (
    BATCH_NORMS,
    freeze_unused,
    last_layers,
    make_dp_ready,
    make_probe,
    output_of,
    replace_batch_norms,
)
from clients.privacy.gradients.out_of_place import OUT_OF_PLACE, add_out_of_place
from clients.privacy.gradients.standardised_convolution import standardised
from tests.support.learning.private_training import CASES, CPU, FAST, HEAVY, cases


@pytest.mark.parametrize("name", CASES)
def test_network_is_ready_and_keeps_its_weights(name: str) -> None:
    case = CASES[name]
    torch.manual_seed(0)
    before = case.make()
    network = copy.deepcopy(before)
    probe = make_probe(case.shape, CPU)
    state = torch.get_rng_state()
    assert make_dp_ready(network, probe) is network
    assert torch.equal(state, torch.get_rng_state()), "nothing random was drawn"
    check_dp_ready(network, probe)
    assert not any(isinstance(layer, BATCH_NORMS) for layer in network.modules())
    theirs = dict(before.named_parameters(remove_duplicate=False))
    for key, parameter in network.named_parameters():
        assert torch.equal(parameter, theirs[key]), key
    assert len(list(network.parameters())) == len(list(before.parameters()))


@pytest.mark.parametrize("name", ["small-cnn", "dynunet", "efficientnet-b0"])
def test_equal_networks_stay_equal_and_twice_is_no_harm(name: str) -> None:
    case = CASES[name]
    one, other = case.ready(), case.ready()
    make_dp_ready(other, make_probe(case.shape, CPU))
    states = one.state_dict(), other.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize(
    "block",
    [
        lambda: ResNetBlock(8, 8, spatial_dims=2),
        lambda: ResNetBottleneck(32, 8, spatial_dims=2),
        lambda: ResBlock(2, 8, ("group", {"num_groups": 4})),
        lambda: SegResBlock(2, 8, ("group", {"num_groups": 4})),
        lambda: UnetResBlock(2, 8, 16, 3, 1, "instance"),
    ],
)
def test_block_that_adds_out_of_place_computes_the_same(block: object) -> None:
    torch.manual_seed(0)
    original: nn.Module = block()  # type: ignore[operator]
    changed = copy.deepcopy(original)
    add_out_of_place(changed)
    assert type(changed) is OUT_OF_PLACE[type(original)]
    channels = next(p for p in original.parameters() if p.ndim == 4).shape[1]
    images = torch.randn(2, channels, 8, 8)
    for training in (True, False):
        original.train(training), changed.train(training)
        assert torch.equal(original(images.clone()), changed(images.clone()))
    copied = copy.deepcopy(changed)
    assert torch.equal(copied(images), changed(images))


def test_dynunet_computes_the_same_with_its_blocks_registered_once() -> None:
    torch.manual_seed(0)
    network = DynUNet(2, 1, 2, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 8, 8], res_block=True).eval()
    probe = make_probe((1, 16, 16), CPU)
    expected = network(probe)
    parameters = len(list(network.parameters()))
    make_dp_ready(network, probe)
    assert torch.allclose(network.eval()(probe), expected, atol=1e-6)
    names = [name for name, _ in network.named_parameters(remove_duplicate=False)]
    assert len(names) == parameters


def test_segresnet_computes_the_same() -> None:
    torch.manual_seed(0)
    network = SegResNet(2, 8, 1, 2).eval()
    probe = make_probe((1, 16, 16), CPU)
    expected = network(probe)
    assert torch.equal(make_dp_ready(network, probe)(probe), expected)


def test_group_norm_keeps_scale_and_shift_and_divides_the_channels() -> None:
    network = nn.Sequential(nn.Conv2d(1, 12, 3), nn.BatchNorm2d(12), nn.InstanceNorm2d(12))
    with torch.no_grad():
        network[1].weight.fill_(2.0)
        network[1].bias.fill_(-1.0)
    replace_batch_norms(network)
    norm = network[1]
    assert isinstance(norm, nn.GroupNorm) and norm.num_groups == 4
    assert torch.equal(norm.weight, torch.full((12,), 2.0))
    assert torch.equal(norm.bias, torch.full((12,), -1.0))


def test_running_statistics_are_taken_from_instance_norm() -> None:
    network = nn.Sequential(nn.InstanceNorm2d(3, affine=True, track_running_stats=True))
    replace_batch_norms(network)
    assert not list(network.buffers()) and len(list(network.parameters())) == 2


class Partly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.used(images))


def test_unused_parameters_are_frozen() -> None:
    network = Partly()
    assert freeze_unused(network, torch.randn(2, 4)) == ["spare.weight", "spare.bias"]
    assert [name for name, p in network.named_parameters() if p.requires_grad] == [
        "used.weight",
        "used.bias",
    ]


@pytest.mark.parametrize("name", cases({**FAST, "resnet18": HEAVY["resnet18"]}))
def test_last_layers_are_those_that_run_last(name: str) -> None:
    case = CASES[name]
    network, probe = case.ready(), make_probe(case.shape, CPU)
    chosen = last_layers(network, probe, 1)
    trained = {id(p): key for key, p in network.named_parameters()}
    names = {trained[id(p)].rpartition(".")[0] for p in chosen}
    assert len(names) == 1
    if "cnn" in name:
        assert names == {"classifier"}
    with torch.no_grad():
        before = output_of(network.eval()(probe))
        for parameter in chosen:
            parameter.zero_()
        assert not torch.equal(before, output_of(network(probe)))
    assert len(last_layers(network, probe, 99)) == sum(p.requires_grad for p in trained_of(network))


def trained_of(network: nn.Module) -> list[nn.Parameter]:
    return list(network.parameters())


def test_standardised_filters_have_mean_zero_and_variance_of_one_over_fan_in() -> None:
    filters = standardised(torch.randn(6, 3, 5, 5) * 4 + 2).flatten(1)
    assert torch.allclose(filters.mean(1), torch.zeros(6), atol=1e-6)
    assert torch.allclose(filters.square().sum(1), torch.ones(6), atol=1e-4)


def test_weight_standardisation_keeps_names_and_weights() -> None:
    case = CASES["small-cnn"]
    plain, standard = case.ready(), case.ready(weight_standardisation=True)
    probe = make_probe(case.shape, CPU)
    assert plain.state_dict().keys() == standard.state_dict().keys()
    for key, weight in plain.state_dict().items():
        assert torch.equal(weight, standard.state_dict()[key])
    assert not torch.allclose(plain(probe), standard(probe))
    check_dp_ready(standard, probe)
    scaled = copy.deepcopy(standard)
    with torch.no_grad():
        for layer in scaled.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.mul_(3.0).add_(1.0)
    assert torch.allclose(standard(probe), scaled(probe), atol=1e-3)
