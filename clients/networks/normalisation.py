"""The weights of a network's normalisation layers, which can stay at home (FedBN).

Parameters and running statistics of these layers follow the contrast and brightness of one camera,
so averaging them over sites mixes what belongs apart (Li et al., ICLR 2021).
"""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from clients.networks.weights import get_weights

LAYERS: tuple[type[nn.Module], ...] = (_NormBase, nn.GroupNorm, nn.LayerNorm)
"""Batch and instance norm of any dimension are kinds of ``_NormBase``."""


def normalisation_weights(network: nn.Module) -> frozenset[str]:
    """Return the names of the floating-point weights in ``network``'s normalisation layers.

    Names are those of :func:`clients.networks.weights.get_weights`.  A network without such
    layers has none.
    """
    found: set[str] = set()
    for prefix, layer in network.named_modules(remove_duplicate=False):
        if isinstance(layer, LAYERS):
            state = layer.state_dict(prefix=f"{prefix}." if prefix else "")
            found |= {name for name, tensor in state.items() if tensor.is_floating_point()}
    return frozenset(found & get_weights(network).keys())
