"""Restoration learns a correction: the network's output is added to its input."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class Residual(nn.Module):
    """A network (B, C, *space) → (B, C, *space) whose output is added to its input.

    He et al., Deep residual learning (CVPR 2016); for noise, Zhang et al., 2017.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the restored images."""
        return torch.as_tensor(images + self.network(images))


def without_instance_norm(parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """Return defaults by which a network does not normalise each image by itself.

    Such a normalisation removes absolute intensity, and with it what HU mean.
    """
    norm = parameters.get("norm")
    return {"norm": None} if norm is not None and "instance" in str(norm.default).lower() else {}
