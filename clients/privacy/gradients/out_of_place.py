"""MONAI's residual blocks without ``+=``, which Opacus' hooks do not allow on a layer's output.

Each class here computes the same as its base class.
"""

from __future__ import annotations

import torch
from monai.networks.blocks.dynunet_block import UnetResBlock
from monai.networks.blocks.segresnet_block import ResBlock
from monai.networks.nets.resnet import ResNetBlock, ResNetBottleneck
from monai.networks.nets.segresnet_ds import SegResBlock
from torch import nn


class OutOfPlaceResNetBlock(ResNetBlock):
    """ResNet's basic block: act(F(x) + shortcut(x))."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features."""
        inner = self.conv2(self.act(self.bn1(self.conv1(x))))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.as_tensor(self.act(self.bn2(inner) + shortcut))


class OutOfPlaceResNetBottleneck(ResNetBottleneck):
    """ResNet's bottleneck block: act(F(x) + shortcut(x))."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features."""
        inner = self.act(self.bn1(self.conv1(x)))
        inner = self.bn3(self.conv3(self.act(self.bn2(self.conv2(inner)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.as_tensor(self.act(inner + shortcut))


class OutOfPlaceSegResNetBlock(ResBlock):
    """SegResNet's pre-activation block: F(x) + x."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features."""
        inner = self.conv1(self.act(self.norm1(x)))
        return torch.as_tensor(self.conv2(self.act(self.norm2(inner))) + x)


class OutOfPlaceSegResNetDSBlock(SegResBlock):
    """SegResNetDS' pre-activation block: F(x) + x."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features."""
        inner = self.conv1(self.act1(self.norm1(x)))
        return torch.as_tensor(self.conv2(self.act2(self.norm2(inner))) + x)


class OutOfPlaceUnetResBlock(UnetResBlock):
    """The residual block of DynUNet, UNETR, and SwinUNETR: act(F(x) + shortcut(x))."""

    def forward(self, inp: torch.Tensor) -> torch.Tensor:
        """Return features."""
        inner = self.norm2(self.conv2(self.lrelu(self.norm1(self.conv1(inp)))))
        shortcut = self.conv3(inp) if hasattr(self, "conv3") else inp
        shortcut = self.norm3(shortcut) if hasattr(self, "norm3") else shortcut
        return torch.as_tensor(self.lrelu(inner + shortcut))


# A block of MONAI (exactly this class) → the same block without ``+=``.
OUT_OF_PLACE: dict[type[nn.Module], type[nn.Module]] = {
    ResNetBlock: OutOfPlaceResNetBlock,
    ResNetBottleneck: OutOfPlaceResNetBottleneck,
    ResBlock: OutOfPlaceSegResNetBlock,
    SegResBlock: OutOfPlaceSegResNetDSBlock,
    UnetResBlock: OutOfPlaceUnetResBlock,
}


def add_out_of_place(network: nn.Module) -> None:
    """Replace every residual block of ``network`` with in-place addition by one without."""
    # Only the class changes, so that names, weights, and deep copies stay as they were.
    for module in network.modules():
        replacement = OUT_OF_PLACE.get(type(module))
        if replacement is not None:
            module.__class__ = replacement
