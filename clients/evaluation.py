"""Evaluate a network on a vendor's data, some records at a time; scores are kept, not outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from monai.inferers import sliding_window_inference
from torch import nn

from clients.data.records import BLANK, Records, images_at_once
from clients.tasks.task import Cases, Task

OVERLAP = 0.25  # of a patch with the next one; where patches overlap, outputs are averaged


@dataclass(frozen=True)
class Evaluated:
    """The metrics of a network on some records, without those that are undefined there.

    ``shares`` (n,) are the records' scores that may be released with noise, each clipped to its
    range and scaled to [0, 1].
    """

    metrics: dict[str, float]
    shares: torch.Tensor


@torch.no_grad()
def evaluate(
    network: nn.Module, data: Records, task: Task, device: torch.device, in_full: bool = True
) -> Evaluated:
    """Return the metrics of ``network`` on ``data``.

    Those that take long and choose no model are left out unless ``in_full``.
    """
    parts = [task.scores(*each, in_full) for each in predictions(network, data, device)]
    scores = torch.cat(parts)
    metrics = task.summary(scores)
    return Evaluated(
        {name: value for name, value in metrics.items() if math.isfinite(value)},
        task.shares(scores),
    )


@torch.no_grad()
def predictions(
    network: nn.Module, data: Records, device: torch.device
) -> Iterator[tuple[torch.Tensor, Cases]]:
    """Yield the outputs of the network, float32 on the CPU, with the records they belong to."""
    network.to(device).eval()
    for cases in data.whole():
        yield outputs_of(network, cases.images.to(device), data.patch).float().cpu(), cases


def outputs_of(
    network: nn.Module, images: torch.Tensor, patch: tuple[int, ...] | None
) -> torch.Tensor:
    """Return the outputs of the network for whole images (B, channels, *space).

    A network that was trained on patches sees patches: a window of their size slides over the
    image, and outputs count less towards its edge.
    """
    if patch is None or patch == tuple(images.shape[2:]):
        return cast(torch.Tensor, network(images))
    found = sliding_window_inference(
        images,
        patch,
        images_at_once(patch),
        network,
        overlap=OVERLAP,
        mode="gaussian",
        cval=BLANK,
    )
    return cast(torch.Tensor, found)
