"""EfficientNet-Lite0 as a frozen source of features, with public weights from an agreed file.

Tan and Le, "EfficientNet", ICML 2019; the Lite variant has no squeeze-and-excitation, and ReLU6.
"""

from __future__ import annotations

from typing import cast

import torch
from monai.networks.nets import EfficientNet
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from clients.feature_settings import FeatureSettings
from clients.networks.initial import (
    agreed_arrays,
    check_names,
    check_plain,
    check_shapes,
    in_type_of,
)
from strategies.errors import ConfigurationError

STAGES = (
    "r1_k3_s11_e1_i32_o16",
    "r2_k3_s22_e6_i16_o24",
    "r2_k5_s22_e6_i24_o40",
    "r3_k3_s22_e6_i40_o80",
    "r3_k5_s11_e6_i80_o112",
    "r4_k5_s22_e6_i112_o192",
    "r1_k3_s11_e6_i192_o320",
)
"""MONAI's words for the stages: repeats, kernel, stride, expansion, channels in and out."""
CHANNELS = 3
TABLE = "model.features"
_LAYERS = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
_UNUSED = ("_conv_head.", "_bn1.", "_fc.")  # behind the last stage


class Lite(nn.Module):
    """Mean and root mean square over space of each channel of each stage: (B, 1568).

    Images (B, 1 or 3, side, side) in [−1, 1], as the weights were trained.  Inner stages see
    texture and shape, which medical images share with photographs more than objects.
    """

    def __init__(self, settings: FeatureSettings) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            # dropout and stochastic depth are for training
            whole = EfficientNet(
                list(STAGES), image_size=settings.side, dropout_rate=0.0, drop_connect_rate=0.0
            )
        _take(whole, settings)
        whole.eval()
        # Fused: a guard refuses batch normalisation of any kind before private training.
        stem = _fused(whole._conv_stem, whole._bn0)
        self.stem = nn.Sequential(whole._conv_stem_padding, stem, nn.ReLU6())
        self.stages = whole._blocks
        for block in (each for stage in self.stages for each in cast(nn.Sequential, stage)):
            for layer, norm in _LAYERS:
                if isinstance(getattr(block, layer), nn.Conv2d):
                    setattr(block, layer, _fused(getattr(block, layer), getattr(block, norm)))
                    setattr(block, norm, nn.Identity())
            block._swish = nn.ReLU6()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of images."""
        inner = self.stem(images.expand(-1, CHANNELS, -1, -1))
        means, sizes = [], []
        for stage in self.stages:
            inner = stage(inner)
            means.append(inner.mean((2, 3)))
            sizes.append(inner.square().mean((2, 3)).sqrt())
        return torch.cat([*means, *sizes], dim=1)


def _fused(convolution: object, norm: object) -> nn.Conv2d:
    return fuse_conv_bn_eval(cast(nn.Conv2d, convolution), cast(nn.BatchNorm2d, norm))


def _take(network: nn.Module, settings: FeatureSettings) -> None:
    """Load the agreed weights; raises :class:`ConfigurationError` for a file that has others."""
    if settings.file is None or settings.sha256 is None:
        raise ConfigurationError(
            f'{TABLE} with kind = "{settings.kind}", without file and sha256',
            "a file of weights, and its SHA-256",
            f"add {TABLE}.file and {TABLE}.sha256",
        )
    found = agreed_arrays(settings.file, settings.sha256, TABLE)
    where = str(settings.file)
    state = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point() and not name.startswith(_UNUSED)
    }
    names = {name: _public_name(name) for name in state}
    check_names(found, names.values(), where)
    for name, public in names.items():
        check_plain(found[public], public, where)
        shapes = tuple(found[public].shape), tuple(state[name].shape)
        check_shapes({public: shapes[0]}, {public: shapes[1]}, where)
    with torch.no_grad():
        for name, public in names.items():
            state[name].copy_(in_type_of(state[name], found[public], public, where))


def _public_name(name: str) -> str:
    """Return the name of an array in public checkpoints, which number blocks without stages."""
    first, *others = name.split(".")
    return ".".join([first, *others[1:]]) if first == "_blocks" else name
