"""Read a folder with one sub-folder of images per class.

``<folder>/<class>/*`` is divided into splits by a keyed hash of each image;
``<folder>/<train|val|test>/<class>/*`` is divided already. Images in a common folder
``<class>/<patient>/`` stay in one split. :mod:`clients.data.image_file` reads the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from clients.data.examples import Examples, Texts, patient_names
from clients.data.image_file import load_image, prepare_image
from clients.data.npz import Arrays
from clients.data.partition import keyed_splits
from clients.data.vendor_data import SplitName
from clients.preparation.settings import AS_READ, PrepareSettings
from clients.settings import SplitSettings
from strategies.errors import DataError

_SPLIT_FOLDERS: dict[SplitName, str] = {"train": "train", "validation": "val", "test": "test"}


def read_folder(
    folder: Path,
    classes: Sequence[str],
    image_size: int | None,
    splits: SplitSettings,
    key: bytes,
    prepare: PrepareSettings = AS_READ,
) -> Arrays:
    """Return split → examples: images (n, channels, *space) in [0, 1], labels (n,).

    ``key`` and the names of records or patients decide the division of a folder without splits.
    ``prepare`` is as in :func:`clients.data.image_file.prepare_image`. Raises :class:`DataError`
    for a missing folder, a class folder without a name in ``classes``, an unreadable image, or
    images of different shapes without ``image_size``.
    """
    if not folder.is_dir():
        raise DataError(
            f"no folder {folder}",
            "a folder with one sub-folder of images per class",
            "correct the path: `data` in site.toml at a site, else that in the federation file",
            DataError.MISSING,
        )
    if all((folder / name).is_dir() for name in _SPLIT_FOLDERS.values()):
        return {
            split: _read_classes(folder / name, classes, image_size, prepare)
            for split, name in _SPLIT_FOLDERS.items()
        }
    examples = _read_classes(folder, classes, image_size, prepare)
    assert examples.records is not None
    # An image without a patient keeps its group when another image comes with one.
    groups = patient_names(examples.records) if examples.patients is None else examples.patients
    train, validation, test = keyed_splits(groups.tolist(), splits.validation, splits.test, key)
    return {
        "train": examples.at(train),
        "validation": examples.at(validation),
        "test": examples.at(test),
    }


def _read_classes(
    folder: Path, classes: Sequence[str], image_size: int | None, prepare: PrepareSettings
) -> Examples:
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
        (path, classes.index(name), patient)
        for name in names
        for path, patient in _images_in(folder / name)
    ]
    records, older, images = [], [], []
    for path, _, _ in files:
        image = load_image(path)
        images.append(prepare_image(image, path, image_size, prepare))
        # Of the pixels as they are stored: the ledger knows original images.
        records.append(image.name)
        older.append(image.older)
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        raise DataError(
            f"images of {len(shapes)} shapes in {folder}, among them {shapes[0]} and {shapes[-1]}",
            "images of one shape",
            "set data.image-size, to which all are resized; convert all to grey, or all to RGB",
            DataError.SHAPE,
        )
    return Examples(
        np.stack(images) if images else np.empty((0, 1, 1, 1), np.float32),
        np.array([label for _, label, _ in files], dtype=np.int64),
        np.array(records, dtype=np.str_),
        _patients([patient for *_, patient in files], records),
        tuple(older),
    )


def _patients(found: Sequence[str], records: Sequence[str]) -> Texts | None:
    """Return the hashed patient of each image, or None if no image has one."""
    if not any(found):
        return None
    # An image without a patient counts as a patient of its own.
    return patient_names(name or record for name, record in zip(found, records, strict=True))


def _images_in(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each image file of a class with its patient: the sub-folder's name, or ""."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            inside = sorted(each for each in path.rglob("[!.]*") if each.is_file())
            yield from ((each, path.name) for each in inside)
        elif path.is_file():
            yield path, ""
