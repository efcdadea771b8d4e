"""Classify single image files with a trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from clients.data.examples import Examples
from clients.data.image_file import read_image
from clients.data.vendor_data import as_split
from clients.evaluation import predict_logits
from clients.imaging.prepare import Window
from clients.settings import TaskSettings
from strategies.errors import DataError


def predict_file(
    network: nn.Module,
    path: Path,
    task: TaskSettings,
    image_size: int | None,
    trained_size: int | None = None,
    window: Window | None = None,
) -> list[float]:
    """Return the probability of every class for the image in ``path``.

    The image is prepared as in training. ``trained_size`` is the side of the training images, if
    known: an image of another size is refused unless ``image_size`` resizes it. ``window`` is that
    of the training images, None if they had none.

    Raises :class:`DataError` if the image cannot be used.
    """
    if not path.is_file():
        raise DataError(f"no file {path}", "an image file", "correct the path", DataError.MISSING)
    image = read_image(path, image_size, window)
    if image.shape[0] != task.channels or image.ndim != task.spatial_dims + 1:
        raise DataError(
            f"{path} has shape {image.shape} (channels, space…)",
            f"{task.channels} channel(s), {task.spatial_dims} spatial dimensions, as in training",
            "convert the image, e.g. to grey or to RGB",
            DataError.SHAPE,
        )
    if image_size is None and trained_size is not None and set(image.shape[1:]) != {trained_size}:
        raise DataError(
            f"{path} has the size {image.shape[1:]}",
            f"{trained_size} pixels a side, as in training",
            f"resize it: --image-size {trained_size}",
            DataError.SHAPE,
        )
    split = as_split(Examples(image[None], np.zeros(1, np.int64)), task.spatial_dims, task.channels)
    logits = predict_logits(network, split.images, torch.device("cpu"))
    return [float(p) for p in logits.softmax(1)[0]]
