"""Use a trained network on single image files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from clients.data.image_file import load_image, prepared_image, resized
from clients.data.vendor_data import as_images
from clients.preparation.prepare import undo
from clients.preparation.settings import AS_READ, PrepareSettings
from clients.tasks.registry import task_of
from clients.tasks.settings import TaskSettings
from strategies.errors import DataError


@torch.no_grad()
def predict_file(
    network: nn.Module,
    path: Path,
    task: TaskSettings,
    image_size: int | None,
    trained_size: int | None = None,
    prepare: PrepareSettings = AS_READ,
) -> NDArray[Any]:
    """Return what the network finds in the image in ``path``.

    That is the probability of every class (classes,), the label of every pixel (*space), or the
    restored image (channels, *space) in [0, 1].  The image is prepared as in training, and a result
    has the geometry of the image in the file again, unless ``image_size`` has resized it.
    ``trained_size`` is the side of the training images, if known: an image of another size is
    refused unless ``image_size`` resizes it.  ``prepare`` are the settings by which the training
    images were prepared.

    Raises :class:`DataError` if the image cannot be used.
    """
    if not path.is_file():
        raise DataError(f"no file {path}", "an image file", "correct the path", DataError.MISSING)
    if image_size is not None and (prepare.size is not None or prepare.spacing is not None):
        raise DataError(
            f"--image-size {image_size} for a model that was trained on images of another geometry",
            "the spacing and the size in the model file",
            "leave --image-size out",
            DataError.SHAPE,
        )
    prepared = prepared_image(load_image(path), path, prepare)
    image = resized(prepared.image, image_size)
    if image.shape[0] != task.channels or image.ndim != task.spatial_dims + 1:
        raise DataError(
            f"{path} has shape {image.shape} (channels, space…)",
            f"{task.channels} channel(s), {task.spatial_dims} spatial dimensions, as in training",
            "convert the image, e.g. to grey or to RGB",
            DataError.SHAPE,
        )
    # Where a size is agreed on, every image has it already, and its sides may differ.
    sized = image_size is not None or prepare.size is not None
    if not sized and trained_size is not None and set(image.shape[1:]) != {trained_size}:
        raise DataError(
            f"{path} has the size {image.shape[1:]}",
            f"{trained_size} pixels a side, as in training",
            f"resize it: --image-size {trained_size}",
            DataError.SHAPE,
        )
    outputs = network.cpu().eval()(as_images(image[None], task)).float()
    found = task_of(task).result(outputs)
    if task.target == "class" or image_size is not None:
        return found
    return undo(found, prepared.geometry, labels=task.target == "mask")
