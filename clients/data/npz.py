"""Read MedMNIST-style ``.npz`` files: arrays by split, without pickled objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.data.vendor_data import SPLITS, SplitName
from srflm_flower.errors import DataError

Arrays = dict[SplitName, tuple[NDArray[np.generic], NDArray[np.generic]]]
_PREFIX: dict[SplitName, str] = {"train": "train", "validation": "val", "test": "test"}


def read_npz(path: Path) -> Arrays:
    """Return split → (images, labels) of a file with keys ``train_images``, ``train_labels``, ….

    Raises :class:`DataError` when the file is missing, damaged, lacks a key, or has arrays that
    are no numbers or do not belong together.
    """
    if not path.is_file():
        raise DataError(
            f"no file {path}",
            "a MedMNIST-style .npz file",
            "correct the path in the federation file (relative paths start at that file)",
            DataError.MISSING,
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {
                split: (archive[f"{_PREFIX[split]}_images"], archive[f"{_PREFIX[split]}_labels"])
                for split in SPLITS
            }
    except KeyError as error:
        raise DataError(
            f"{path} lacks the array {error.args[0].split(' ')[0]}",
            "arrays train_images, train_labels, val_images, val_labels, test_images, test_labels",
            "write the file again with these names",
            DataError.UNREADABLE,
        ) from error
    except Exception as error:  # a damaged archive makes NumPy, zipfile, or zlib raise anything
        raise DataError(
            f"{path} cannot be read as .npz ({type(error).__name__})",
            "a complete .npz file of plain arrays",
            "copy or download the file again",
            DataError.UNREADABLE,
        ) from error
    for split, (images, labels) in arrays.items():
        _check_pair(images, labels, split, path)
    return arrays


def _check_pair(
    images: NDArray[np.generic], labels: NDArray[np.generic], split: str, path: Path
) -> None:
    kinds = images.dtype.kind + labels.dtype.kind
    if not set(kinds) <= set("buif") or images.ndim == 0 or labels.ndim == 0:
        raise DataError(
            f"{path} has {split} images of type {images.dtype}, labels of type {labels.dtype}",
            "arrays of numbers",
            "write the labels as class indices (0, 1, …), the images as numbers",
            DataError.UNREADABLE,
        )
    if len(images) != len(labels):
        raise DataError(
            f"{path} has {len(images)} {split} images, {len(labels)} labels",
            "one label an image",
            "write the file again",
            DataError.SHAPE,
        )
