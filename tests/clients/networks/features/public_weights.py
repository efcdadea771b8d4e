"""Made-up weights of EfficientNet-Lite0 in a file, under the names of public checkpoints."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import EfficientNet
from safetensors.torch import save

from clients.networks.features.lite import STAGES


def public_arrays() -> dict[str, torch.Tensor]:
    """Return the arrays that the features need: random, but as large as trained ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        state = EfficientNet(list(STAGES)).state_dict()
        for name, tensor in state.items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.1)
    parts = {name: name.split(".") for name in state}
    renamed = {
        ".".join([of[0], *of[2:]]) if of[0] == "_blocks" else name: state[name]
        for name, of in parts.items()
    }
    return {
        name: tensor
        for name, tensor in renamed.items()
        if tensor.is_floating_point() and not name.startswith(("_conv_head.", "_bn1.", "_fc."))
    }


def write_public(path: Path, arrays: dict[str, torch.Tensor] | None = None) -> dict[str, Any]:
    """Write such a file; return the table ``[model.features]`` for it, for small images."""
    data = save(arrays if arrays is not None else public_arrays())
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return {"kind": "efficientnet-lite0", "side": 32, "file": path, "sha256": digest}
