"""Use a trained network on single images, and bring what it finds back to where the image lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clients.data.image_file import resized
from clients.data.vendor_data import as_images
from clients.evaluation import outputs_of
from clients.imaging.index import Series
from clients.imaging.reading import read_volume
from clients.preparation.prepare import prepare, undo
from clients.preparation.settings import AS_READ, PrepareSettings
from clients.tasks.registry import task_of
from clients.tasks.settings import TaskSettings
from strategies.errors import DataError


class Prediction(NamedTuple):
    """The network's finding, and the affine (4, 4) of its voxels, None where none is known.

    ``values`` are the probability of every class (classes,), the label of every voxel (*space), or
    the restored image (channels, *space): in the unit of the agreed window, without one in [0, 1].
    """

    values: NDArray[Any]
    affine: NDArray[np.float64] | None


@torch.no_grad()
def predict_file(
    network: nn.Module,
    path: Path | Series,
    task: TaskSettings,
    image_size: int | None,
    trained_size: int | None = None,
    settings: PrepareSettings = AS_READ,
) -> Prediction:
    """Return what the network finds in an image: a file, a series, or a folder with one series.

    The image is prepared as in training, by ``settings``; a mask or a restored image comes back in
    the geometry in which the image was read.  ``trained_size`` is the side of the training images,
    if known: an image of another size is refused unless ``image_size`` resizes it.

    Raises :class:`DataError` if the image cannot be used.
    """
    name = path.where if isinstance(path, Series) else str(path)
    if isinstance(path, Path) and not path.exists():
        raise DataError(f"no file {path}", "an image file", "correct the path", DataError.MISSING)
    if image_size is not None and (settings.size is not None or settings.spacing is not None):
        raise DataError(
            f"--image-size {image_size} for a model that was trained on images of another geometry",
            "the spacing and the size in the model file",
            "leave --image-size out",
            DataError.SHAPE,
        )
    volume = read_volume(path)
    prepared = prepare(volume, None, "class", settings, name)
    image = resized(prepared.image, image_size)
    if image.shape[0] != task.channels or image.ndim != task.spatial_dims + 1:
        raise DataError(
            f"{name} has shape {image.shape} (channels, space…)",
            f"{task.channels} channel(s), {task.spatial_dims} spatial dimensions, as in training",
            "convert the image, e.g. to grey or to RGB",
            DataError.SHAPE,
        )
    patch = settings.patch_of(task.spatial_dims)
    # Where a size is agreed on, every image has it already, and its sides may differ.
    sized = image_size is not None or settings.size is not None or patch is not None
    if not sized and trained_size is not None and set(image.shape[1:]) != {trained_size}:
        raise DataError(
            f"{name} has the size {image.shape[1:]}",
            f"{trained_size} pixels a side, as in training",
            f"resize it: --image-size {trained_size}",
            DataError.SHAPE,
        )
    outputs = outputs_of(network.cpu().eval(), as_images(image[None], task), patch)
    found = task_of(task).result(outputs.float())
    if task.target == "image" and settings.window is not None:
        low, high = settings.window
        found = (low + (high - low) * found).astype(np.float32)
    if task.target == "class" or image_size is not None:
        return Prediction(found, None)
    back = undo(found, prepared.geometry, labels=task.target == "mask")
    return Prediction(back, volume.affine)
