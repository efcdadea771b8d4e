"""What a network is like: its size, what a round sends, and how it normalises."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from clients.networks.shapes import Size
from clients.privacy.gradients.networks import BATCH_NORMS

INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


@dataclass(frozen=True)
class NetworkFacts:
    """Facts of a network that was tried on images of ``size`` (pixels).

    A model that is sent takes ``sent`` bytes.  ``over_batch`` and ``over_image`` say that it
    normalises over all images of a batch, or over each image by itself.
    """

    parameters: int
    sent: int
    over_batch: bool
    over_image: bool
    size: Size


def facts_of(network: nn.Module, size: Size) -> NetworkFacts:
    """Return the facts of a network, on the meta device too."""
    # By identity: tensors on the meta device have no place in memory.
    state = {id(each): each for each in network.state_dict(keep_vars=True).values()}
    return NetworkFacts(
        parameters=sum(each.numel() for each in network.parameters()),
        sent=sum(e.numel() * e.element_size() for e in state.values() if e.is_floating_point()),
        over_batch=normalises_over_batch(network),
        over_image=any(isinstance(each, INSTANCE_NORMS) for each in network.modules()),
        size=size,
    )


def normalises_over_batch(network: nn.Module) -> bool:
    """Whether the output for an image depends, in training, on the other images of its batch."""
    return any(isinstance(module, BATCH_NORMS) for module in network.modules())
