"""Read one image file, and make of it what a network sees.

Formats: PNG, JPEG, and BMP by Pillow, NPY without pickled objects, DICOM by
:mod:`clients.imaging.dicom`, and every other format for which ``monai.transforms.LoadImage`` has a
reader (NIfTI with ``pip install nibabel``).
"""

from __future__ import annotations

import logging
import warnings
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from monai.transforms import LoadImage, Resize
from numpy.typing import NDArray
from PIL import Image

from clients.data.examples import older_names, record_name
from clients.data.former_names import former_names
from clients.imaging.dicom import is_dicom, read_dicom
from clients.imaging.volume import Kind, Volume
from clients.preparation.prepare import Prepared, prepare
from clients.preparation.settings import PrepareSettings
from strategies.errors import DataError

_PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}
_NUMPY_SUFFIXES = {".npy", ".npz"}
_PICTURE_MODES = {"L", "RGB", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}  # Pillow's: grey, RGB


class LoadedImage(NamedTuple):
    """An image as a file has it; both arrays have the shape (channels, *space).

    ``stored`` are the file's own numbers, by which the image is named; ``values`` what they mean,
    as HU.  ``former`` are further names in ledgers of older versions; ``affine`` is as in
    :class:`clients.imaging.volume.Volume`.
    """

    stored: NDArray[np.generic]
    values: NDArray[np.generic]
    kind: Kind
    former: frozenset[str] = frozenset()
    affine: NDArray[np.float64] | None = None

    @property
    def name(self) -> str:
        """The name under which the privacy ledger knows the image."""
        return record_name(self.stored)

    @property
    def older(self) -> frozenset[str]:
        """All names under which older ledgers may know it."""
        return self.former.union(older_names(self.stored))


def read_image(
    path: Path, image_size: int | None, settings: PrepareSettings
) -> NDArray[np.float32]:
    """Return one image as (channels, *space) in [0, 1].

    Raises :class:`DataError` as :func:`load_image` and :func:`prepare_image` do.
    """
    # Training and `srflm predict` share these steps: a model must see images alike in both.
    return prepare_image(load_image(path), path, image_size, settings)


def load_image(path: Path) -> LoadedImage:
    """Return the image in a file.

    PNG, JPEG, BMP, and DICOM give (channels, height, width), not transposed: 1 channel for grey,
    3 for RGB. Raises :class:`DataError` for an unreadable file, a palette, or transparency.
    """
    try:
        return _load(path)
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
    image: LoadedImage, path: Path, image_size: int | None, settings: PrepareSettings
) -> NDArray[np.float32]:
    """Return an image as float32 (channels, *space) in [0, 1].

    It is prepared as :func:`prepared_image` does, whose :class:`DataError` it raises;
    ``image_size`` is the length to which every side is resized then.
    """
    return resized(prepared_image(image, path, settings).image, image_size)


def prepared_image(image: LoadedImage, path: Path, settings: PrepareSettings) -> Prepared:
    """Return an image, prepared by :func:`clients.preparation.prepare.prepare`."""
    volume = Volume(image.stored, image.values, image.kind, image.affine)
    return prepare(volume, None, "class", settings, str(path))


def resized(pixels: NDArray[np.float32], image_size: int | None) -> NDArray[np.float32]:
    """Return an image (channels, *space) of which every side is ``image_size`` long, if given."""
    if image_size is not None:
        resize = Resize(spatial_size=(image_size,) * (pixels.ndim - 1))
        pixels = np.asarray(resize(torch.from_numpy(pixels)))
    return np.ascontiguousarray(pixels, dtype=np.float32)


def _load(path: Path) -> LoadedImage:
    suffixes = {suffix.lower() for suffix in path.suffixes}
    # MONAI's reader would unpickle objects, and so run code from the file.
    if suffixes & _NUMPY_SUFFIXES:
        with path.open("rb") as file:
            array: NDArray[np.generic] = np.lib.format.read_array(file, allow_pickle=False)
        return LoadedImage(array[None], array[None], "numbers")
    # MONAI's reader would transpose pictures, and DICOM.
    if path.suffix.lower() in _PICTURE_SUFFIXES:
        pixels = _decode_picture(path)
        return LoadedImage(pixels, pixels, "picture")
    if is_dicom(path):
        image = read_dicom(path)
        former = former_names(image.stored, image.rescale)
        return LoadedImage(image.stored, image.values, image.kind, former)
    pixels = _decode_by_monai(path)
    return LoadedImage(pixels, pixels, "numbers")


def _decode_by_monai(path: Path) -> NDArray[np.generic]:
    try:
        return np.asarray(_monai_reader(None)(path))
    except ValueError:
        # Torch refuses arrays of foreign byte order. They are never uint8, so that float32 here
        # does not change how the image is scaled.
        return np.asarray(_monai_reader(np.float32)(path))


@cache
def _monai_reader(dtype: type | None) -> LoadImage:
    # Where pydicom is installed, MONAI warns and logs that it has no decoder for GPUs.
    logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "NvImgCodecPydicomReader")
        return LoadImage(image_only=True, ensure_channel_first=True, dtype=dtype)


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
