"""Read a folder with one sub-folder of images per class.

``<folder>/<class>/*`` is divided into splits by a keyed hash of each image;
``<folder>/<train|val|test>/<class>/*`` is divided already. Images in a common folder
``<class>/<patient>/`` stay in one split. Formats: PNG, JPEG, and BMP by Pillow, NPY without pickled
objects, and every format for which ``monai.transforms.LoadImage`` has a reader (DICOM and NIfTI
with ``pip install "monai[itk]"``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from monai.transforms import LoadImage, Resize
from numpy.typing import NDArray
from PIL import Image

from clients.data.examples import Examples, Texts, older_names, patient_names, record_name
from clients.data.npz import Arrays
from clients.data.partition import keyed_splits
from clients.data.vendor_data import SplitName
from clients.settings import SplitSettings
from strategies.errors import DataError

_SPLIT_FOLDERS: dict[SplitName, str] = {"train": "train", "validation": "val", "test": "test"}
_PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}
_NUMPY_SUFFIXES = {".npy", ".npz"}
_PICTURE_MODES = {"L", "RGB", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}  # Pillow's: grey, RGB


def read_folder(
    folder: Path,
    classes: Sequence[str],
    image_size: int | None,
    splits: SplitSettings,
    key: bytes,
) -> Arrays:
    """Return split → examples: images (n, channels, *space) in [0, 1], labels (n,).

    ``key`` and the names of records or patients decide the division of a folder without splits.
    Raises :class:`DataError` for a missing folder, a class folder without a name in ``classes``,
    an unreadable image, or images of different shapes without ``image_size``.
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
    examples = _read_classes(folder, classes, image_size)
    assert examples.records is not None
    # An image without a patient keeps its group when another image comes with one.
    groups = patient_names(examples.records) if examples.patients is None else examples.patients
    train, validation, test = keyed_splits(groups.tolist(), splits.validation, splits.test, key)
    return {
        "train": examples.at(train),
        "validation": examples.at(validation),
        "test": examples.at(test),
    }


def _read_classes(folder: Path, classes: Sequence[str], image_size: int | None) -> Examples:
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
        pixels = read_pixels(path)
        images.append(prepare_image(pixels, path, image_size))
        # Of the pixels before resizing: the ledger knows original images.
        records.append(record_name(pixels))
        older.append(older_names(pixels))
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
        np.array(older, dtype=np.str_),
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


def read_image(path: Path, image_size: int | None) -> NDArray[np.float32]:
    """Return one image as (channels, *space) in [0, 1].

    Raises :class:`DataError` as :func:`read_pixels` and :func:`prepare_image` do.
    """
    # Training and `srflm predict` share these steps: a model must see images alike in both.
    return prepare_image(read_pixels(path), path, image_size)


def read_pixels(path: Path) -> NDArray[np.generic]:
    """Return the stored pixels, channels first, in the file's own type.

    PNG, JPEG, and BMP give (channels, height, width), not transposed: 1 channel for grey, 3 for
    RGB. Raises :class:`DataError` for an unreadable file, a palette, or transparency.
    """
    try:
        return _decode(path)
    except DataError:
        raise
    except Exception as error:  # each format's library has exceptions of its own
        raise DataError(
            f"{path} cannot be read ({type(error).__name__})",
            "an image that MONAI's LoadImage reads",
            "remove the file, or install the reader that its format needs",
            DataError.UNREADABLE,
        ) from error


def prepare_image(
    pixels: NDArray[np.generic], path: Path, image_size: int | None
) -> NDArray[np.float32]:
    """Return pixels as float32 (channels, *space) in [0, 1].

    ``image_size`` is the length to which every side is resized. uint8 is divided by 255; other
    types (uint16, int16 of DICOM and NIfTI, floats) are scaled by the image's own range. Raises
    :class:`DataError` for pixels that are not an image, or not finite.
    """
    image = _to_unit_range(pixels, path)
    if image_size is not None:
        resize = Resize(spatial_size=(image_size,) * (image.ndim - 1))
        image = np.asarray(resize(torch.from_numpy(np.ascontiguousarray(image))))
    return np.ascontiguousarray(image, dtype=np.float32)


def _decode(path: Path) -> NDArray[np.generic]:
    suffixes = {suffix.lower() for suffix in path.suffixes}
    # MONAI's reader would unpickle objects, and so run code from the file.
    if suffixes & _NUMPY_SUFFIXES:
        with path.open("rb") as file:
            array: NDArray[np.generic] = np.lib.format.read_array(file, allow_pickle=False)
        return array[None]
    # MONAI's reader would transpose pictures.
    if path.suffix.lower() in _PICTURE_SUFFIXES:
        return _decode_picture(path)
    return _decode_by_monai(path)


def _decode_by_monai(path: Path) -> NDArray[np.generic]:
    load = partial(LoadImage, image_only=True, ensure_channel_first=True)
    try:
        return np.asarray(load(dtype=None)(path))
    except ValueError:
        # Torch refuses arrays of foreign byte order. They are never uint8, so that float32 here
        # does not change how the image is scaled.
        return np.asarray(load(dtype=np.float32)(path))


def _decode_picture(path: Path) -> NDArray[np.generic]:
    with Image.open(path) as picture:
        if picture.mode not in _PICTURE_MODES or "transparency" in picture.info:
            raise DataError(
                f"{path} has the colour mode {picture.mode} (a palette, transparency, or CMYK)",
                "a grey or an RGB image",
                "convert it to grey or RGB, without transparency",
                DataError.UNREADABLE,
            )
        pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _to_unit_range(pixels: NDArray[np.generic], path: Path) -> NDArray[np.float32]:
    is_image = pixels.ndim in (3, 4) and pixels.size > 0 and pixels.dtype.kind in "buif"
    if not is_image or not np.isfinite(pixels).all():
        raise DataError(
            f"{path} has pixels of shape {pixels.shape}, type {pixels.dtype}"
            + (", some NaN or infinite" if is_image else ""),
            "finite numbers in two or three spatial dimensions",
            "write the image again without NaN or infinite pixels, or remove it",
            DataError.UNREADABLE,
        )
    values: NDArray[np.float64] = pixels.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if pixels.dtype == np.uint8:
        low, high = 0.0, 255.0  # as in .npz files
    # An image of one value has no range; it becomes 0 throughout.
    scaled: NDArray[np.float32] = ((values - low) / ((high - low) or 1.0)).astype(np.float32)
    return scaled
