"""Images as they were read, with hashes by which the privacy ledger recognises them later."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Texts = NDArray[np.str_]
COLOURS = (3, 4)  # channels of RGB, and of RGB with transparency


class Examples(NamedTuple):
    """Images (n, …) and labels (n,) or (n, 1), with hashes of records and patients if known.

    ``records`` (n,) is each image's :func:`record_name`, set by a reader that changed the pixels;
    ``patients`` (n,) is the hash of each patient's name (:func:`patient_names`).
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
    """Return SHA-256 (hex) of an image's pixels in the file's own type, before any scaling.

    It is the same with the colours on the first or the last axis, and with axes of length 1 or
    without.
    """
    # The same image, in .npz or .png, resized or not, must count as one record in the ledger.
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
    """Return SHA-256 (hex) of each patient's name or number."""
    return np.array(
        [hashlib.sha256(f"patient {name}".encode()).hexdigest() for name in names], dtype=np.str_
    )
