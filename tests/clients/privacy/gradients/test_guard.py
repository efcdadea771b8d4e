"""The guard refuses what would let records influence each other, Opacus' silent holes too."""

from __future__ import annotations

import pytest
import torch
from opacus.validators import ModuleValidator
from torch import nn

from clients.privacy.gradients.guard import check_dp_ready
from clients.privacy.gradients.networks import make_dp_ready
from strategies.errors import PrivacyError

PROBE = torch.randn(3, 1, 6, 6, generator=torch.Generator().manual_seed(2))


def with_norm(norm: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.Flatten(), nn.Linear(64, 2))


def frozen(norm: nn.Module) -> nn.Module:
    return norm.requires_grad_(False)


class Coupled(nn.Module):
    """Changes its output by what the others are."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.layer, self.how = nn.Linear(36, 2), how

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs = self.layer(images.flatten(1))
        if self.how == "mean":
            outputs = outputs - outputs.mean(0)
        elif self.how == "detached":
            outputs = outputs / outputs.detach().abs().amax(0)
        elif self.how == "count":
            outputs = outputs / len(outputs)
        elif self.how == "neighbour":
            outputs = outputs + outputs.roll(1, 0).detach()
        return torch.as_tensor(outputs)


class Counting(nn.Module):
    """Keeps the mean of what it has seen, without being any known normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(36, 2)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen = self.seen * 0.9 + images.mean() * 0.1
        return torch.as_tensor(self.layer(images.flatten(1)))


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(4),
        nn.BatchNorm2d(4, affine=False),
        nn.BatchNorm2d(4, affine=False, track_running_stats=False),
        frozen(nn.BatchNorm2d(4)),
        nn.SyncBatchNorm(4),
    ],
    ids=repr,
)
def test_batch_norm_of_any_kind_is_refused_and_named(norm: nn.Module) -> None:
    network = with_norm(norm)
    with pytest.raises(PrivacyError, match=r"layer '1' \(\w*BatchNorm.*make_dp_ready") as refused:
        check_dp_ready(network, PROBE)
    assert refused.value.code == PrivacyError.NETWORK
    check_dp_ready(make_dp_ready(network, PROBE), PROBE)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4, affine=False), frozen(nn.BatchNorm2d(4))])
def test_opacus_alone_would_have_let_it_pass(norm: nn.Module) -> None:
    assert ModuleValidator.validate(with_norm(norm).train()) == []


def test_running_statistics_are_refused() -> None:
    with pytest.raises(PrivacyError, match="statistics of the records"):
        check_dp_ready(with_norm(nn.InstanceNorm2d(4, track_running_stats=True)), PROBE)


def test_buffer_that_moves_is_refused_and_named() -> None:
    network = Counting()
    with pytest.raises(PrivacyError, match="buffer 'seen'"):
        check_dp_ready(network, PROBE)
    assert float(network.seen) == 0.0, "the guard leaves the network as it was"


@pytest.mark.parametrize("how", ["mean", "detached", "count", "neighbour"])
def test_output_that_depends_on_other_records_is_refused(how: str) -> None:
    with pytest.raises(PrivacyError, match="an output of Coupled that changes"):
        check_dp_ready(Coupled(how), PROBE)


def test_layer_registered_twice_is_refused() -> None:
    layer = nn.Linear(36, 36)
    with pytest.raises(PrivacyError, match="registered under two names"):
        check_dp_ready(nn.Sequential(nn.Flatten(), layer, layer), PROBE)


@pytest.mark.parametrize(
    "norm", [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True), nn.Dropout(0.5), nn.Identity()]
)
def test_what_keeps_records_apart_passes_and_stays_as_it_was(norm: nn.Module) -> None:
    network = with_norm(norm).eval()
    state = torch.get_rng_state()
    check_dp_ready(network, PROBE)
    assert not network.training and torch.equal(state, torch.get_rng_state())


def test_probe_of_one_record_shows_nothing() -> None:
    with pytest.raises(ValueError, match="at least two"):
        check_dp_ready(with_norm(nn.Identity()), PROBE[:1])
