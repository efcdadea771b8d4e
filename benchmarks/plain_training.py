"""An ordinary PyTorch training loop, with which our own is compared."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from clients.device import mixed_precision


def plain_train(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    momentum: float,
    seed: int,
    device: torch.device,
    half_precision: bool,
) -> None:
    """Train ``network`` in place by SGD with momentum; every epoch has its own order."""
    # The same generator and seed as in clients.training, so that both see the same batches.
    generator = torch.Generator().manual_seed(seed)
    network.to(device).train()
    images, labels = images.to(device), labels.to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=momentum)
    for _ in range(epochs):
        order = torch.randperm(len(labels), generator=generator)
        for start in range(0, len(labels), batch_size):
            chosen = order[start : start + batch_size].to(device)
            optimizer.zero_grad()
            with mixed_precision(device, half_precision):
                loss = functional.cross_entropy(network(images[chosen]), labels[chosen])
            loss.backward()
            optimizer.step()
