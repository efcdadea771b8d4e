"""Which slice of a volume is drawn, and how: the same in every picture of this project."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray


def fullest_slice(mask: torch.Tensor) -> tuple[int, ...]:
    """Return the index, along all axes but the last two, where most of a mask (*space) lies."""
    at: list[int] = []
    while mask.ndim > 2:
        best = int((mask > 0).flatten(1).sum(1).argmax())
        at.append(best)
        mask = mask[best]
    return tuple(at)


def middle_slice(space: Sequence[int]) -> tuple[int, ...]:
    """Return the index, along all axes but the last two, of the slice in the middle."""
    return tuple(side // 2 for side in space[:-2])


def picture_of(image: torch.Tensor, at: Sequence[int]) -> NDArray[np.float32]:
    """Return a slice of an image (channels, *space) in [−1, 1] as (h, w), or (h, w, 3), in [0, 1].

    Of channels other than three, the first is drawn.
    """
    for index in at:
        image = image[:, index]
    pixels: NDArray[np.float32] = (image / 2 + 0.5).numpy()
    return pixels[0] if pixels.shape[0] != 3 else np.moveaxis(pixels, 0, -1)
