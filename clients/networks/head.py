"""The head of a network: its last layer with weights, which can stay at home (FedRep).

The rest is the body, which learns features that all sites can use (Collins et al., ICML 2021).
"""

from __future__ import annotations

import torch
from torch import nn

from clients.privacy.gradients.networks import last_layers, make_probe


def head_weights(network: nn.Module, images: torch.Tensor) -> frozenset[str]:
    """Return the names of the parameters in the layer with weights that ``network`` runs last.

    ``images`` (n, channels, *space) show the shape of its input, and may be none (n = 0).  The
    order is that in which the layers run, as the order in which they are written may be another.
    Names are those of :func:`clients.networks.weights.get_weights`.
    """
    was_training = network.training
    device = next(network.parameters()).device
    network.eval()  # the made-up images must not enter the statistics of batch normalisation
    try:
        head = last_layers(network, make_probe(tuple(images.shape[1:]), device), count=1)
    finally:
        network.train(was_training)
    found = {id(parameter) for parameter in head}
    return frozenset(name for name, each in network.named_parameters() if id(each) in found)
