"""Read one image file by :mod:`clients.imaging.reading`, and make of it what a network sees."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from monai.transforms import Resize
from numpy.typing import NDArray

from clients.data.examples import older_names, record_name
from clients.data.former_names import former_names
from clients.imaging.prepare import Window
from clients.imaging.reading import read_volume
from clients.imaging.volume import Kind
from strategies.errors import DataError


class LoadedImage(NamedTuple):
    """An image as a file has it; both arrays have the shape (channels, *space).

    ``stored`` are the file's own numbers, by which the image is named; ``values`` what they mean,
    as HU.  ``earlier`` has the pixels as earlier versions of the program read the file.
    """

    stored: NDArray[np.generic]
    values: NDArray[np.generic]
    kind: Kind
    earlier: tuple[NDArray[np.generic], ...] = ()

    @property
    def name(self) -> str:
        """The name under which the privacy ledger knows the image."""
        return record_name(self.stored)

    @property
    def older(self) -> frozenset[str]:
        """All names under which older ledgers may know it."""
        return former_names(self.earlier).union(older_names(self.stored))


def read_image(path: Path, image_size: int | None, window: Window | None) -> NDArray[np.float32]:
    """Return one image as (channels, *space) in [0, 1].

    Raises :class:`DataError` as :func:`load_image` and :func:`prepare_image` do.
    """
    # Training and `srflm predict` share these steps: a model must see images alike in both.
    return prepare_image(load_image(path), path, image_size, window)


def load_image(path: Path) -> LoadedImage:
    """Return the image in a file, in the order of axes of its reader.

    See :func:`clients.imaging.reading.read_volume`, whose errors this raises.
    """
    volume = read_volume(path)
    return LoadedImage(volume.stored, volume.values, volume.kind, volume.earlier)


def prepare_image(
    image: LoadedImage, path: Path, image_size: int | None, window: Window | None
) -> NDArray[np.float32]:
    """Return an image as float32 (channels, *space) in [0, 1].

    ``window`` (low, high) maps values linearly, low and less to 0, high and more to 1. Without it,
    uint8 is divided by 255, and other types are scaled by the image's own range. ``image_size`` is
    the length to which every side is resized. Raises :class:`DataError` for pixels that are not an
    image, or not finite; for HU without a window, and for a picture with one.
    """
    _check_window(image, path, window)
    pixels = _to_unit_range(image.values, path, window)
    if image_size is not None:
        resize = Resize(spatial_size=(image_size,) * (pixels.ndim - 1))
        pixels = np.asarray(resize(torch.from_numpy(np.ascontiguousarray(pixels))))
    return np.ascontiguousarray(pixels, dtype=np.float32)


def _check_window(image: LoadedImage, path: Path, window: Window | None) -> None:
    """Refuse images that the agreed window would make incomparable with others."""
    if image.kind == "hounsfield" and window is None:
        # By its own range, the same tissue would be bright in one scanner's images and dark in
        # another's.
        raise DataError(
            f"{path} is a CT image in HU, and no window says which HU are 0 and 1",
            "the window that all members have agreed on",
            "add [data.prepare] to the federation file, with window = [-1024, 1024], or"
            " [-160, 240] for soft tissue; a model that was trained without one is not for CT",
            DataError.WINDOW,
        )
    if image.kind == "picture" and window is not None:
        raise DataError(
            f"{path} is a picture, whose brightness is in no unit, for a window of"
            f" {window[0]:g} to {window[1]:g}",
            "images in the unit of the window: DICOM, NIfTI, or NPY",
            "use the original image, or agree on no [data.prepare] window",
            DataError.WINDOW,
        )


def _to_unit_range(
    pixels: NDArray[np.generic], path: Path, window: Window | None
) -> NDArray[np.float32]:
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
    if window is not None:
        low, high = window
        values = values.clip(low, high)
    elif pixels.dtype == np.uint8:
        low, high = 0.0, 255.0  # as in .npz files
    # An image of one value has no range; it becomes 0 throughout.
    scaled: NDArray[np.float32] = ((values - low) / ((high - low) or 1.0)).astype(np.float32)
    return scaled
