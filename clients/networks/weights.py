"""A network's weights as arrays by name: what travels between sites."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from strategies.weights import Weights


def get_weights(network: nn.Module) -> Weights:
    """Return copies of the network's floating-point parameters and buffers by name.

    One that has several names travels once, under the first of them.
    """
    return {
        name: tensor.detach().cpu().numpy().copy()
        for name, tensor in _floating(network.state_dict()).items()
    }


def _floating(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the floating-point tensors of a state, each under the first of its names."""
    # DynUNet names each of its layers twice, and weights can be tied.
    found: dict[object, str] = {}
    for name, tensor in state.items():
        # Integer buffers (batch norm's num_batches_tracked) would become floats in an average.
        if tensor.is_floating_point():
            place = tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride()
            # An empty tensor has no place of its own.
            found.setdefault(place if tensor.numel() else name, name)
    return {name: state[name] for name in found.values()}


def set_weights(network: nn.Module, weights: Weights) -> None:
    """Load ``weights`` into the network; integer buffers keep their values.

    Raises :class:`KeyError` if a name is missing or unknown.
    """
    state = _floating(network.state_dict())
    if state.keys() != weights.keys():
        raise KeyError(
            f"weights differ from the network's in {sorted(state.keys() ^ weights.keys())}"
        )
    with torch.no_grad():
        for name, array in weights.items():
            state[name].copy_(torch.from_numpy(array.copy()))
