"""Evaluate a network on a vendor's data, some records at a time; scores are kept, not outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from clients.data.vendor_data import Split
from clients.tasks.task import Cases, Task

MOST_IMAGES = 256  # in one forward pass
MOST_PIXELS = 2**20  # in one forward pass: a layer of 16 channels then takes 64 MiB


@dataclass(frozen=True)
class Evaluated:
    """The metrics of a network on some records, without those that are undefined there.

    ``share`` is the mean over the records of the score that may be released with noise, each
    record's clipped to its range and scaled to [0, 1].
    """

    metrics: dict[str, float]
    share: float


@torch.no_grad()
def evaluate(
    network: nn.Module, data: Split, task: Task, device: torch.device, in_full: bool = True
) -> Evaluated:
    """Return the metrics of ``network`` on ``data``.

    Those that take long and choose no model are left out unless ``in_full``.
    """
    parts = [task.scores(*each, in_full) for each in predictions(network, data, device)]
    scores = torch.cat(parts)
    metrics = task.summary(scores)
    return Evaluated(
        {name: value for name, value in metrics.items() if math.isfinite(value)},
        float(task.shares(scores).mean()),
    )


@torch.no_grad()
def predictions(
    network: nn.Module, data: Split, device: torch.device
) -> Iterator[tuple[torch.Tensor, Cases]]:
    """Yield the outputs of the network, float32 on the CPU, with the records they belong to."""
    network.to(device).eval()
    parts = (each.split(images_at_once(data.images)) for each in data.cases)
    for images, targets, spacing in zip(*parts, strict=True):
        yield network(images.to(device)).float().cpu(), Cases(images, targets, spacing)


def images_at_once(images: torch.Tensor) -> int:
    """Return how many images (n, channels, *space) go through a network in one pass."""
    return max(1, min(MOST_IMAGES, MOST_PIXELS // max(1, math.prod(images.shape[2:]))))
