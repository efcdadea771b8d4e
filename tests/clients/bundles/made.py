"""Small bundles of the shapes that public ones have, written by the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import UNet
from torch import nn

UNET: dict[str, Any] = {
    "_target_": "UNet",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": "@classes",
    "channels": "@shape::channels",
    "strides": [2],
    "num_res_units": "@shape#units#1",
}
ENTRIES: dict[str, Any] = {
    "imports": ["$import glob"],
    "classes": 3,
    "shape": {"channels": [4, "@widest"], "units": [0, 1]},
    "widest": 8,
    "network_def": UNET,
    "network": "$@network_def.to(@device)",
}


def network(**changes: Any) -> nn.Module:
    arguments = {"channels": [4, 8], "strides": [2], "num_res_units": 1, **changes}
    return UNet(spatial_dims=2, in_channels=1, out_channels=3, **arguments)


def bundle(folder: Path, entries: dict[str, Any] | None = None) -> Path:
    """Write a bundle without weights; return its folder."""
    configs = folder / "configs"
    configs.mkdir(parents=True, exist_ok=True)
    text = json.dumps(ENTRIES if entries is None else entries)
    (configs / "inference.json").write_text(text, encoding="utf-8")
    return folder


def with_definition(folder: Path, others: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write a bundle whose definition differs, and that has some other entries too."""
    return bundle(folder, ENTRIES | (others or {}) | {"network_def": UNET | changes})


def with_weights(folder: Path, state: object) -> Path:
    """Write a bundle with a file of weights, by PyTorch's own writer."""
    (bundle(folder) / "models").mkdir()
    torch.save(state, folder / "models" / "model.pt")
    return folder
