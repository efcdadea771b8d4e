"""Small networks of every kind, with tasks and data, and DP-SGD without noise that is private."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from monai.networks.nets import (
    AttentionUnet,
    BasicUNet,
    DynUNet,
    SegResNet,
    SwinUNETR,
    UNet,
)
from torch import nn

from clients.networks.build import initial_network
from clients.privacy.gradients.networks import make_dp_ready, make_probe
from clients.privacy.gradients.optimizer import PrivateOptimizer
from clients.privacy.noise import SecureRandomness
from clients.settings import ModelSettings
from clients.tasks.losses import Loss, cross_entropy, dice_and_cross_entropy, squared_error
from clients.tasks.settings import ClassificationSettings
from tests.support.learning.hook_gradients import WAYS, Way

CPU = torch.device("cpu")
TASK = ClassificationSettings(classes=("a", "b", "c"))


class WithoutNoise:
    """Randomness that adds nothing and draws everybody."""

    def gaussian(self, like: torch.Tensor, deviation: float) -> torch.Tensor:
        return torch.zeros(like.shape, dtype=torch.float64)

    def uniform(self, count: int) -> torch.Tensor:
        return torch.zeros(count, dtype=torch.float64)


def not_private_randomness(seed: int) -> SecureRandomness:
    """Return a generator that draws the same for the same seed, as none of the product does."""
    return SecureRandomness(hashlib.shake_256(seed.to_bytes(16, "big", signed=True)).digest)


@dataclass(frozen=True)
class Case:
    """A network with the shape of its images, its loss, and what hooks can do with it."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    losses: tuple[Loss, ...]
    hooks: bool = True

    @property
    def modes(self) -> tuple[Way, ...]:
        return ("vmap", "loop", "hooks", "ghost") if self.hooks else ("vmap", "loop")

    def ready(self, **options: bool) -> nn.Module:
        """Return the network, ready, in training mode, with nothing random in it."""
        torch.manual_seed(3)
        network = make_dp_ready(self.make(), make_probe(self.shape, CPU), **options).train()
        return without_dropout(network)

    def data(self, records: int, loss: Loss) -> tuple[torch.Tensor, torch.Tensor]:
        """Return made-up records; the first is an outlier."""
        generator = torch.Generator().manual_seed(1)
        images = torch.randn((records, *self.shape), generator=generator)
        images[0] *= 20
        if loss is squared_error:
            return images, images + 1
        shape = self.shape[1:] if loss is dice_and_cross_entropy else ()
        return images, torch.randint(0, 2, (records, *shape), generator=generator)


def without_dropout(network: nn.Module) -> nn.Module:
    """Switch off what is random in training: dropout, and EfficientNet's dropped blocks."""
    for module in network.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d | nn.Dropout3d):
            module.p = 0.0
        if hasattr(module, "drop_connect_rate"):
            module.drop_connect_rate = 0.0  # type: ignore[assignment]
    for block in getattr(network, "_blocks", []):
        for each in block:
            each.drop_connect_rate = 0.0
    return network


def _ours(**model: str) -> Callable[[], nn.Module]:
    return lambda: initial_network(ModelSettings(**model), TASK, 1)  # type: ignore[arg-type]


CLASSIFY, SEGMENT = (cross_entropy,), (dice_and_cross_entropy,)
RESTORE = (squared_error,)
FAST = {
    "small-cnn": Case(_ours(network="small-cnn"), (1, 12, 12), CLASSIFY),
    "small-cnn-group": Case(_ours(network="small-cnn", norm="group"), (1, 12, 12), CLASSIFY),
    "unet-prelu": Case(lambda: UNet(2, 1, 2, (4, 8), (2,), num_res_units=1), (1, 8, 8), SEGMENT),
    "unet-restore": Case(lambda: UNet(2, 1, 1, (4, 8), (2,)), (1, 8, 8), RESTORE),
    "unet-3d": Case(lambda: UNet(3, 1, 2, (4, 8), (2,), norm="batch"), (1, 8, 8, 8), SEGMENT),
    "dynunet": Case(
        lambda: DynUNet(2, 1, 2, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 8, 8], res_block=True),
        (1, 16, 16),
        SEGMENT,
    ),
}
HEAVY = {
    "resnet18": Case(_ours(network="resnet18"), (1, 28, 28), CLASSIFY),
    "densenet121": Case(_ours(network="densenet121"), (1, 28, 28), CLASSIFY),
    "efficientnet-b0": Case(_ours(network="efficientnet-b0"), (1, 28, 28), CLASSIFY),
    "unet-batch": Case(
        lambda: UNet(2, 1, 2, (8, 16, 16), (2, 2), num_res_units=2, norm="batch"),
        (1, 16, 16),
        SEGMENT,
    ),
    "basic-unet": Case(
        lambda: BasicUNet(2, 1, 2, features=(8, 8, 8, 16, 16, 8)), (1, 32, 32), SEGMENT
    ),
    "segresnet": Case(lambda: SegResNet(2, 8, 1, 2), (1, 16, 16), SEGMENT),
    "attention-unet": Case(lambda: AttentionUnet(2, 1, 2, (8, 16), (2,)), (1, 16, 16), SEGMENT),
    "swin-unetr": Case(
        lambda: SwinUNETR(1, 1, spatial_dims=2, feature_size=12), (1, 64, 64), RESTORE, hooks=False
    ),
}
CASES = {**FAST, **HEAVY}


def cases(names: dict[str, Case]) -> list[object]:
    """Return names as pytest parameters; the heavy ones are slow tests."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else []) for name in names]


def optimizer_for(network: nn.Module, clip: float, batch: int = 1) -> PrivateOptimizer:
    """Return an optimizer of learning rate 1 that adds no noise."""
    trained = [p for p in network.parameters() if p.requires_grad]
    return PrivateOptimizer(
        torch.optim.SGD(trained, 1.0),
        noise_multiplier=1.0,
        clip=clip,
        expected_batch_size=batch,
        loss_bound=3.0,
        loss_share=0.5,
        randomness=WithoutNoise(),
    )


def released(
    network: nn.Module,
    loss: Loss,
    mode: Way,
    images: torch.Tensor,
    targets: torch.Tensor,
    clip: float,
    most: int = 64,
) -> torch.Tensor:
    """Return all that one step releases but for the noise: Σ clipped gradients, and Σ losses."""
    optimizer = optimizer_for(network, clip)
    gradients = WAYS[mode](network, loss)
    before = [p.detach().clone() for p in optimizer.params]
    for part, target in zip(images.split(most), targets.split(most), strict=True):
        if len(part):
            gradients.add(optimizer, part, target)
    optimizer.step()
    moved = [(a - p.detach()).flatten() for a, p in zip(before, optimizer.params, strict=True)]
    with torch.no_grad():
        for parameter, start in zip(optimizer.params, before, strict=True):
            parameter.copy_(start)
    losses = torch.tensor([optimizer.noisy_loss * optimizer.loss_scale])
    gradients.close()
    optimizer.close()
    return torch.cat([*moved, losses]).double()
