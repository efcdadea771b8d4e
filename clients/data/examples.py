"""Images as they were read, with what tells records and patients apart for the privacy ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Texts = NDArray[np.str_]
COLOURS = (3, 4)


class Examples(NamedTuple):
    """Images (n, …), labels (n,) or (n, 1), and, where they are known, names of both.

    ``records`` (n,) are the images' :func:`record_name`, for a reader that has changed the images;
    ``patients`` (n,) are what names each image's patient, hashed.
    """

    images: NDArray[np.generic]
    labels: NDArray[np.generic]
    records: Texts | None = None
    patients: Texts | None = None

    def at(self, rows: NDArray[np.int64]) -> Examples:
        """Return the examples in these rows."""
        records = None if self.records is None else self.records[rows]
        patients = None if self.patients is None else self.patients[rows]
        return Examples(self.images[rows], self.labels[rows], records, patients)


def record_name(pixels: NDArray[np.generic]) -> str:
    """Return SHA-256 (hex) of an image as it was read, of the file's type.

    It is taken before resizing and scaling, and does not depend on how the axes are understood:
    colours may be the first axis or the last, and axes of length 1 do not count.
    """
    pixels = pixels.squeeze()
    if pixels.ndim > 2 and pixels.shape[-1] in COLOURS and pixels.shape[0] not in COLOURS:
        pixels = np.moveaxis(pixels, -1, 0)
    shape = f"{pixels.dtype.newbyteorder('<').str} {pixels.shape}\n".encode()
    stored = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(shape + stored.tobytes()).hexdigest()


def record_names(images: Iterable[NDArray[np.generic]]) -> Texts:
    """Return the names of several images."""
    return np.array([record_name(image) for image in images], dtype=np.str_)


def patient_names(names: Iterable[Any]) -> Texts:
    """Return SHA-256 (hex) of what names patients: the names themselves are not kept."""
    return np.array(
        [hashlib.sha256(f"patient {name}".encode()).hexdigest() for name in names], dtype=np.str_
    )
