"""Classify single image files with a trained network."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from clients.data.folder import read_image
from clients.data.vendor_data import as_split
from clients.evaluation import predict_logits
from clients.settings import TaskSettings
from srflm_flower.errors import DataError


def predict_file(
    network: nn.Module, path: Path, task: TaskSettings, image_size: int | None
) -> list[float]:
    """Return the probability of every class for the image in ``path``.

    The image is prepared as in training.  Raises :class:`DataError` when it cannot be used.
    """
    if not path.is_file():
        raise DataError(f"no file {path}", "an image file", "correct the path", DataError.MISSING)
    image = read_image(path, image_size)
    if image.shape[0] != task.channels or image.ndim != task.spatial_dims + 1:
        raise DataError(
            f"{path} has shape {image.shape} (channels, space…)",
            f"{task.channels} channel(s), {task.spatial_dims} spatial dimensions, as in training",
            "convert the image, e.g. to grey or to RGB",
            DataError.SHAPE,
        )
    split = as_split(image[None], torch.zeros(1, dtype=torch.int64).numpy(), task.spatial_dims)
    logits = predict_logits(network, split.images, torch.device("cpu"))
    return [float(p) for p in logits.softmax(1)[0]]
