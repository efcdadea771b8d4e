"""Public images of nothing: dead leaves, by which the scale of each feature is known beforehand.

Lee, Mumford, and Huang, "Occlusion models for natural images", IJCV 41 (2001): discs of random
sizes and colours that cover each other have much of the statistics of photographs.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from clients.seeds import derive_seed

SMALLEST, LARGEST = 0.05, 0.6  # radius of a disc, in sides of the image
DISCS = 60


def dead_leaves(count: int, channels: int, side: int) -> torch.Tensor:
    """Return ``count`` images, always the same: float32 (count, channels, side, side), −1 to 1."""
    generator = torch.Generator().manual_seed(derive_seed(0, "dead-leaves"))

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator)

    pixels = torch.arange(side) + 0.5
    images = random(count, channels, 1, 1).expand(-1, -1, side, side)
    for _ in range(DISCS):
        # Radii with a density like r⁻³: then no scale stands out.
        small, large = SMALLEST**-2, LARGEST**-2
        radius = side * (small + random(count, 1, 1) * (large - small)).rsqrt()
        down, right = side * random(count, 1, 1), side * random(count, 1, 1)
        distance = (pixels[:, None] - down).square() + (pixels - right).square()
        inside = (distance < radius.square()).unsqueeze(1)
        images = torch.where(inside, random(count, channels, 1, 1), images)
    # Edges as a lens draws them.
    return functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), "replicate"), 3, 1) * 2 - 1
