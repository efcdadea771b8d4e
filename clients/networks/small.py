"""The project's own small classifier, which is the default network."""

from __future__ import annotations

import itertools

import torch
from monai.networks.blocks import Convolution
from torch import nn


class SmallCNN(nn.Module):
    """A small network: three strided MONAI convolutions, global pooling, one linear layer.

    The convolutions have ``width``, 2 and 4 times ``width`` channels. Input (batch, channels,
    *space) of side 8 or more; output logits (batch, classes).
    """

    def __init__(
        self, spatial_dims: int, channels: int, classes: int, norm: str, width: int = 32
    ) -> None:
        super().__init__()
        widths = (channels, width, 2 * width, 4 * width)
        self.features = nn.Sequential(
            *(
                Convolution(
                    spatial_dims,
                    wide_in,
                    wide_out,
                    strides=2,
                    norm=("group", {"num_groups": 8}) if norm == "group" else "batch",
                    act=("relu", {"inplace": False}),  # Opacus' hooks refuse in-place operations
                    bias=False,
                )
                for wide_in, wide_out in itertools.pairwise(widths)
            )
        )
        self.classifier = nn.Linear(2 * widths[-1], classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        features = self.features(images).flatten(2)
        # Mean and maximum: a lesion is small, and the mean alone hardly shows it.
        pooled = torch.cat([features.mean(2), features.amax(2)], dim=1)
        return torch.as_tensor(self.classifier(pooled))
