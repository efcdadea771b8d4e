"""The targets of the phantom's slices for each task: a lesion's class, organs, the full dose."""

from __future__ import annotations

import numpy as np

from clients.data.examples import Examples
from clients.data.phantom.dataset import PhantomImages
from clients.data.phantom.lesions import LESION_CLASSES
from clients.data.phantom.organs import Organ
from clients.tasks.settings import TaskSettings
from strategies.errors import DataError

ORGANS = tuple(organ.name.lower() for organ in Organ)


def phantom_examples(images: PhantomImages, task: TaskSettings) -> Examples:
    """Return the slices with the targets of a task.

    Classes are those of the lesion.  A mask has the organs that ``task.classes`` names, in that
    order; all else is background.  Restoration leads from a quarter of the dose to the full dose.
    """
    count, size = len(images.images), images.images.shape[-1]
    spacing = np.full((count, task.spatial_dims), images.scanner.pixel_at(size))
    match task.target:
        case "class":
            return Examples(images.images, images.labels, spacing=spacing)
        case "mask":
            masks = np.zeros_like(images.masks)
            for label, name in enumerate(task.classes):
                masks[images.masks == ORGANS.index(name)] = label
            return Examples(images.images, masks[:, None], spacing=spacing)
        case "image":
            assert images.low_dose is not None
            return Examples(images.low_dose, images.images, spacing=spacing)


def check_phantom_classes(task: TaskSettings) -> None:
    """Raise :class:`DataError` for classes that the phantom does not have."""
    if task.target == "class" and len(task.classes) != len(LESION_CLASSES):
        raise DataError(
            f"{len(task.classes)} names in task.classes for the phantom",
            f"its {len(LESION_CLASSES)} classes: {', '.join(LESION_CLASSES)}",
            "list these in task.classes, or leave task.classes out",
            DataError.LABELS_OUTSIDE_CLASSES,
        )
    if task.target == "mask":
        unknown = [name for name in task.classes if name not in ORGANS]
        if unknown or task.classes[0] != ORGANS[Organ.BACKGROUND]:
            raise DataError(
                f"task.classes = {', '.join(task.classes)} for the phantom",
                f"background, then any of its organs: {', '.join(ORGANS[1:])}",
                "list some of these in task.classes, or leave task.classes out",
                DataError.LABELS_OUTSIDE_CLASSES,
            )
