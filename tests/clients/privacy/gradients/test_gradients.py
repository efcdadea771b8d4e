"""All ways of computing per-record gradients give the same, however the batch is divided."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.networks.nets import DynUNet
from torch import nn

from clients.privacy.gradients.gradients import LoopGradients, RecordGradients, VmapGradients
from clients.privacy.gradients.mode import check_mode, choose_mode, records_at_once
from clients.privacy.gradients.networks import make_probe
from clients.tasks.losses import cross_entropy, dice_and_cross_entropy, squared_error
from strategies.errors import PrivacyError
from tests.support.learning.hook_gradients import HookGradients, Way
from tests.support.learning.private_training import CASES, CPU, FAST, cases, released


@pytest.mark.parametrize("name", cases(CASES))
def test_all_modes_release_the_same(name: str) -> None:
    case = CASES[name]
    for loss in case.losses:
        network, (images, targets) = case.ready().double(), case.data(4, loss)
        images = images.double()
        targets = targets.double() if loss is squared_error else targets
        expected = released(network, loss, "loop", images, targets, 0.5, most=1)
        assert float(expected.norm()) > 0.1
        for mode in case.modes:
            found = released(network, loss, mode, images, targets, 0.5)
            assert float((found - expected).norm() / expected.norm()) < 1e-5, mode


@pytest.mark.parametrize("mode", ["vmap", "loop", "hooks", "ghost"])
def test_the_physical_batch_does_not_matter(mode: Way) -> None:
    case = FAST["unet-prelu"]
    network, (images, targets) = case.ready().double(), case.data(7, dice_and_cross_entropy)
    whole = released(network, dice_and_cross_entropy, mode, images.double(), targets, 0.5)
    parts = released(network, dice_and_cross_entropy, mode, images.double(), targets, 0.5, most=3)
    assert torch.allclose(whole, parts, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2, bias=False),
        nn.Conv2d(4, 8, 3, padding=1, groups=4),
        nn.Conv2d(4, 6, 3, stride=2, dilation=2, groups=2, bias=False),
        nn.PReLU(),
        nn.PReLU(4),
    ],
    ids=str,
)
def test_own_samplers_agree_with_autograd(layer: nn.Module) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), copy.deepcopy(layer), nn.Flatten(1)).double()
    images = torch.randn(3, 1, 11, 11, dtype=torch.float64)
    targets = torch.randn_like(network(images)).detach()
    expected, losses = LoopGradients(network, squared_error).per_record(images, targets)
    hooks = HookGradients(network.train(), squared_error)
    found, same_losses = hooks.per_record(images, targets)
    hooks.close()
    assert torch.allclose(losses, same_losses)
    for one, other in zip(expected, found, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)


def test_hooks_leave_nothing_behind() -> None:
    network = FAST["small-cnn"].ready()
    before = set(network.state_dict())
    HookGradients(network, cross_entropy).close()
    assert set(network.state_dict()) == before
    assert all(not module._forward_hooks for module in network.modules())


class Scrambled(RecordGradients):
    """Gives the mean gradient to everybody."""

    def per_record(
        self, images: torch.Tensor, targets: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        rows, losses = LoopGradients(self.network, self.loss).per_record(images, targets)
        return [row.mean(0, keepdim=True).expand_as(row) for row in rows], losses


def test_a_mode_that_gives_wrong_gradients_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        __import__("clients.privacy.gradients.gradients", fromlist=["MODES"]).MODES,
        "vmap",
        Scrambled,
    )
    case = FAST["small-cnn"]
    probe, targets = make_probe(case.shape, CPU), torch.tensor([0, 1, 2])
    with pytest.raises(PrivacyError, match='by "vmap" that differ') as refused:
        check_mode("vmap", case.ready(), probe, targets, cross_entropy)
    assert refused.value.code == PrivacyError.GRADIENTS
    assert choose_mode("auto", case.ready(), probe, targets, cross_entropy) == "loop"


def test_blocks_that_are_hooked_twice_are_refused() -> None:
    torch.manual_seed(0)
    network = DynUNet(2, 1, 2, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 8, 8])
    probe = make_probe((1, 16, 16), CPU)
    targets = torch.randint(0, 2, (3, 16, 16))
    with pytest.raises((PrivacyError, RuntimeError)):
        check_mode("ghost", network.train(), probe, targets, dice_and_cross_entropy)


def test_automatic_choice_is_vmap_and_the_loop_where_memory_is_short() -> None:
    probe, targets = make_probe((4,), CPU), torch.tensor([0, 1, 0])
    assert choose_mode("auto", nn.Linear(4, 2), probe, targets, cross_entropy) == "vmap"
    wide = nn.Sequential(nn.Linear(4, 3000), nn.Linear(3000, 3000), nn.Linear(3000, 2))
    assert choose_mode("auto", wide, probe, targets, cross_entropy) == "loop"
    assert records_at_once(wide, 64, CPU) == 14
    assert records_at_once(nn.Linear(4, 2), 64, CPU) == 16
    assert records_at_once(nn.Linear(4, 2), 5, CPU) == 5
    assert records_at_once(nn.Linear(4, 2), 64, CPU, vectors=True) == 64
    assert records_at_once(wide, 64, CPU, vectors=True) == 14


class Branching(nn.Module):
    """Its forward depends on values, which ``vmap`` cannot vectorise."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.layer(images if float(images.sum()) > 0 else -images))


def test_automatic_choice_is_the_loop_where_vmap_refuses_an_operator() -> None:
    probe, targets = make_probe((4,), CPU), torch.tensor([0, 1, 0])
    with pytest.raises(RuntimeError):
        VmapGradients(Branching(), cross_entropy).per_record(probe, targets)
    assert choose_mode("auto", Branching(), probe, targets, cross_entropy) == "loop"
