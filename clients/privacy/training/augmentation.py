"""Random flips and shifts of images, for several copies of each record (De et al., 2022)."""

from __future__ import annotations

import torch

LARGEST_SHIFT = 1 / 16  # of the image's side


def augment(images: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Flip each image (B, channels, *space) left to right with probability ½, and shift it.

    The shift is at most 1/16 of each side; border pixels fill the gap. Targets that are images,
    (B, *space) or (B, channels, *space), move along; labels (B,) stay.
    """
    # PyTorch's global generator is good enough here: these draws protect nothing.
    space = images.ndim - 2
    for axis in range(1, space + 1):
        places = _places(len(images), images.shape[-axis], flip=axis == 1).to(images.device)
        images = _moved(images, -axis, places)
        if targets.ndim > space:
            targets = _moved(targets, -axis, places)
    return images, targets


def _places(records: int, side: int, flip: bool) -> torch.Tensor:
    """Return for each record the source pixel of every place along an axis: int64, (B, side)."""
    most = int(side * LARGEST_SHIFT)
    shifts = torch.randint(-most, most + 1, (records, 1))
    places = (torch.arange(side).unsqueeze(0) + shifts).clamp(0, side - 1)
    if not flip:
        return places
    flipped = torch.rand(records, 1) < 0.5
    return torch.where(flipped, side - 1 - places, places)


def _moved(images: torch.Tensor, axis: int, places: torch.Tensor) -> torch.Tensor:
    shape = [1] * images.ndim
    shape[0], shape[axis] = places.shape
    return images.gather(axis, places.view(shape).expand_as(images))
