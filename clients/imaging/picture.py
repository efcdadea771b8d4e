"""Read pictures (PNG, JPEG, BMP, TIFF) by Pillow, and arrays in NPY files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clients.imaging.refusal import unreadable
from clients.imaging.volume import Volume

_TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"}) | _TIFF_SUFFIXES
NUMPY_SUFFIXES = frozenset({".npy", ".npz"})
_MODES = {"L", "RGB", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}  # Pillow's: grey, RGB


def read_picture(path: Path) -> Volume:
    """Return a picture as (channels, height, width): 1 channel for grey, 3 for RGB.

    Raises :class:`DataError` for a palette, transparency, and several pages.
    """
    with Image.open(path) as picture:
        if getattr(picture, "n_frames", 1) != 1:
            raise unreadable(
                f"{path} has several pages", "one picture a file", "write each to its own file"
            )
        if picture.mode not in _MODES or "transparency" in picture.info:
            raise unreadable(
                f"{path} has the colour mode {picture.mode} (a palette, transparency, or CMYK)",
                "a grey or an RGB image",
                "convert it to grey or RGB, without transparency",
            )
        pixels = np.asarray(picture)
    pixels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    # MONAI's reader by ITK transposed TIFF; other pictures were never read by it.
    is_tiff = path.suffix.lower() in _TIFF_SUFFIXES
    return Volume(pixels, pixels, "picture", None, (pixels.swapaxes(1, 2),) if is_tiff else ())


def read_array(path: Path) -> Volume:
    """Return the array in an NPY file with one channel before its axes, (1, …).

    No pickled object is read: it would run code from the file. Raises :class:`ValueError` instead.
    """
    with path.open("rb") as file:
        array: NDArray[np.generic] = np.lib.format.read_array(file, allow_pickle=False)
    return Volume(array[None], array[None], "numbers")
