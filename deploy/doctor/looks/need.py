"""What a training step of the agreed network takes in memory, found out without taking it.

On PyTorch's ``meta`` device tensors have shapes and no values, so a step on a whole batch costs
nothing.  What autograd keeps for the way back is counted.
"""

from __future__ import annotations

from typing import Final

import torch

from clients.networks.build import build_network, shapes_of
from clients.networks.shapes import Size
from clients.networks.trial import without_memory
from deploy.doctor.facts import Need
from srflm_flower.federation.federation import Federation

MOMENTS: Final = {"sgd": 1, "adam": 2, "adamw": 2}
"""Numbers that an optimiser keeps for each parameter."""
RUNTIME: Final = 2**29
"""Bytes of PyTorch's own libraries, on a GPU for its context and kernels."""
LIKELY: Final = 1.5
"""Over what is counted: passing results, workspaces, and room between blocks."""


def training_need(federation: Federation, size: Size) -> Need | None:
    """Return the memory of a training step on images or patches of ``size``.

    None for a network that does not run without values.
    """
    model, task = federation.network_settings, federation.task
    if model.features is not None:  # one linear layer, on features
        return Need(RUNTIME, RUNTIME)
    privacy, training = federation.privacy, federation.training
    batch = training.batch_size
    if privacy.private:
        batch = min(privacy.batch_size, privacy.physical_batch or privacy.batch_size)
    try:
        network = without_memory(lambda: build_network(model, task, size)).train()
        images = torch.zeros(shapes_of(task).images(batch, size), device="meta")
        kept = _kept_for_the_way_back(network, images)
    except Exception:  # MONAI and PyTorch raise many kinds; `model.network` tells what is wrong
        return None
    weights = sum(each.numel() * each.element_size() for each in network.parameters())
    copies = (2 + MOMENTS[training.optimizer]) * weights
    if not privacy.private:
        return Need(copies + kept, round(LIKELY * (copies + kept)) + RUNTIME)
    # Each record has a gradient of its own, and records can be taken one by one.
    counted = copies + kept + batch * weights
    return Need(copies + kept // batch + weights, round(LIKELY * counted) + RUNTIME)


def _kept_for_the_way_back(network: torch.nn.Module, images: torch.Tensor) -> int:
    """Return the bytes of all that autograd keeps of a forward pass, each storage once."""
    own = {each.untyped_storage()._cdata for each in network.parameters()}
    found: dict[int, int] = {}
    alive: list[torch.Tensor] = []  # a freed storage's number may be given to another

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            found[storage._cdata] = storage.nbytes()
            alive.append(tensor)
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept)
    with torch.random.fork_rng(devices=[]), hooks:
        network(images)
    return sum(found.values())
