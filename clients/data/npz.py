"""Read MedMNIST-style ``.npz`` files: arrays by split, without pickled objects."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.data.vendor_data import SPLITS, SplitName
from srflm_flower.errors import DataError

Arrays = dict[SplitName, tuple[NDArray[np.generic], NDArray[np.generic]]]
_PREFIX: dict[SplitName, str] = {"train": "train", "validation": "val", "test": "test"}


def read_npz(path: Path) -> Arrays:
    """Return split → (images, labels) of a file with keys ``train_images``, ``train_labels``, ….

    Raises :class:`DataError` when the file is missing, damaged, or lacks a key.
    """
    if not path.is_file():
        raise DataError(
            f"no file {path}",
            "a MedMNIST-style .npz file",
            "correct the path in the federation file (relative paths start at that file)",
            DataError.MISSING,
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {
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
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as .npz ({type(error).__name__})",
            "a complete .npz file of plain arrays",
            "copy or download the file again",
            DataError.UNREADABLE,
        ) from error
