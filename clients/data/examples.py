"""Images as they were read, with hashes by which the privacy ledger recognises them later."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Texts = NDArray[np.str_]
COLOURS = (3, 4)  # channels of RGB, and of RGB with transparency
GRID = 2**16 - 1
TOLERANCE = 1e-3  # floats in [0, 1] may be off by rounding


class Examples(NamedTuple):
    """Images (n, …) and their targets (n, …), with hashes of records and patients if known.

    Targets are labels (n,) or (n, 1), masks, or other images, as the task has it.

    ``records`` (n,) is each image's :func:`record_name`, ``older`` has for each of the n images all
    names that it may have in older ledgers, at least its :func:`older_names`; both are set by a
    reader that changed the pixels.
    ``patients`` (n,) is the hash of each patient's name (:func:`patient_names`); ``spacing``
    (n, dims) is the size of a pixel in mm.
    """

    images: NDArray[np.generic]
    targets: NDArray[np.generic]
    records: Texts | None = None
    patients: Texts | None = None
    older: tuple[frozenset[str], ...] | None = None
    spacing: NDArray[np.float64] | None = None

    def at(self, rows: NDArray[np.int64]) -> Examples:
        """Return the examples in these rows."""
        records = None if self.records is None else self.records[rows]
        patients = None if self.patients is None else self.patients[rows]
        older = None if self.older is None else tuple(self.older[row] for row in rows)
        spacing = None if self.spacing is None else self.spacing[rows]
        return Examples(self.images[rows], self.targets[rows], records, patients, older, spacing)


def record_name(pixels: NDArray[np.generic]) -> str:
    """Return SHA-256 (hex) of what an image is to a network before any choice of preprocessing.

    It is the same for uint8 and for floats that are these divided by 255, with the colours on the
    first or the last axis, and with axes of length 1 or without.  Other types are scaled by the
    image's own range, as :func:`clients.data.image_file.prepare_image` does
    without a window.
    """
    # The same image, in .npz or .png, resized or not, must count as one record in the ledger.
    pixels = _colours_first(pixels)
    # A grid of 2¹⁶ values: a float that was rounded differently is no other image.
    values = np.rint(_unit_range(pixels) * GRID).astype("<u2")
    return _digest(values, "canonical")


def older_names(pixels: NDArray[np.generic]) -> tuple[str, str, str]:
    """Return the names under which ledgers of older versions can hold an image.

    These depended on the type: the image's own, uint8, and float32.
    """
    values = _unit_range(_colours_first(pixels))
    bytes_ = np.rint(values * 255).astype(np.uint8)
    floats = (bytes_ / 255).astype(np.float32)
    return name_in_own_type(pixels), _digest(bytes_), _digest(floats)


def name_in_own_type(pixels: NDArray[np.generic]) -> str:
    """Return the first of the :func:`older_names`, which depends on the type of the numbers."""
    return _digest(_colours_first(pixels))


def _unit_range(pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    values = pixels.astype(np.float64)
    if pixels.size == 0:
        return values
    low, high = float(values.min()), float(values.max())
    if pixels.dtype == np.uint8:
        low, high = 0.0, 255.0
    elif pixels.dtype.kind == "f" and low >= -TOLERANCE and high <= 1 + TOLERANCE:
        low, high = 0.0, 1.0
    scaled: NDArray[np.float64] = (values - low) / ((high - low) or 1.0)
    return scaled.clip(0.0, 1.0)


def _colours_first(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    pixels = pixels.squeeze()
    if pixels.ndim > 2 and pixels.shape[-1] in COLOURS and pixels.shape[0] not in COLOURS:
        pixels = np.moveaxis(pixels, -1, 0)
    return pixels


def _digest(pixels: NDArray[np.generic], kind: str = "") -> str:
    little = pixels.dtype.newbyteorder("<")
    shape = f"{kind}{little.str} {pixels.shape}\n".encode()
    return hashlib.sha256(shape + pixels.astype(little, copy=False).tobytes()).hexdigest()


def record_names(images: Iterable[NDArray[np.generic]]) -> Texts:
    """Return the names of several images."""
    return np.array([record_name(image) for image in images], dtype=np.str_)


def patient_names(names: Iterable[Any]) -> Texts:
    """Return SHA-256 (hex) of each patient's name or number."""
    return np.array(
        [hashlib.sha256(f"patient {name}".encode()).hexdigest() for name in names], dtype=np.str_
    )
