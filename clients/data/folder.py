"""Read a folder with one sub-folder of images per class, by MONAI's readers.

``<folder>/<class>/*`` is divided at random; ``<folder>/<train|val|test>/<class>/*`` is taken as
it stands.  Formats: all that ``monai.transforms.LoadImage`` reads with what is installed (PNG and
JPEG by Pillow, NPY; DICOM and NIfTI with ``pip install "monai[itk]"``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from monai.transforms import LoadImage, Resize, ScaleIntensity
from numpy.typing import NDArray

from clients.data.npz import Arrays
from clients.data.partition import random_splits
from clients.data.vendor_data import SplitName
from clients.settings import SplitSettings
from srflm_flower.errors import DataError

_SPLIT_FOLDERS: dict[SplitName, str] = {"train": "train", "validation": "val", "test": "test"}


def read_folder(
    folder: Path,
    classes: Sequence[str],
    image_size: int | None,
    splits: SplitSettings,
    rng: np.random.Generator,
) -> Arrays:
    """Return split → (images (n, channels, *space) in [0, 1], labels (n,)).

    Raises :class:`DataError` for a missing folder, a class folder that is not in ``classes``, an
    unreadable image, or images of different shapes without ``image_size``.
    """
    if not folder.is_dir():
        raise DataError(
            f"no folder {folder}",
            "a folder with one sub-folder of images per class",
            "correct the vendor's path in the federation file",
            DataError.MISSING,
        )
    if all((folder / name).is_dir() for name in _SPLIT_FOLDERS.values()):
        return {
            split: _read_classes(folder / name, classes, image_size)
            for split, name in _SPLIT_FOLDERS.items()
        }
    images, labels = _read_classes(folder, classes, image_size)
    train, validation, test = random_splits(len(labels), splits.validation, splits.test, rng)
    return {
        "train": (images[train], labels[train]),
        "validation": (images[validation], labels[validation]),
        "test": (images[test], labels[test]),
    }


def _read_classes(
    folder: Path, classes: Sequence[str], image_size: int | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    unknown = [name for name in names if name not in classes]
    if unknown or not names:
        raise DataError(
            f"{folder} has the class folders {', '.join(names) or '(none)'}",
            f"folders named as in task.classes: {', '.join(classes)}",
            "rename the folders, or list every class in task.classes",
            DataError.LABELS_OUTSIDE_CLASSES,
        )
    files = [
        (path, classes.index(name))
        for name in names
        for path in sorted((folder / name).iterdir())
        if path.is_file() and not path.name.startswith(".")
    ]
    images = [read_image(path, image_size) for path, _ in files]
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        raise DataError(
            f"images of {len(shapes)} shapes in {folder}, among them {shapes[0]} and {shapes[-1]}",
            "images of one shape",
            "set data.image-size, to which all are resized",
            DataError.SHAPE,
        )
    labels = np.array([label for _, label in files], dtype=np.int64)
    return (np.stack(images) if images else np.empty((0, 1, 1, 1), np.float32)), labels


def read_image(path: Path, image_size: int | None) -> NDArray[np.float32]:
    """Return one image as (channels, *space), scaled to [0, 1] by its own range."""
    try:
        image = LoadImage(image_only=True, ensure_channel_first=True)(path)
    except Exception as error:  # MONAI's readers raise whatever the format's library raises
        raise DataError(
            f"{path} cannot be read ({type(error).__name__})",
            "an image that MONAI's LoadImage reads",
            "remove the file, or install the reader that its format needs",
            DataError.UNREADABLE,
        ) from error
    if image_size is not None:
        image = Resize(spatial_size=(image_size,) * (image.ndim - 1))(image)
    return np.asarray(ScaleIntensity()(image), dtype=np.float32)
