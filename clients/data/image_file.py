"""Read one image file by :mod:`clients.imaging.reading`, and make of it what a network sees."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from monai.transforms import Resize
from numpy.typing import NDArray

from clients.data.examples import record_name
from clients.data.former_names import all_older_names
from clients.imaging.reading import read_volume
from clients.imaging.volume import Kind, Volume
from clients.preparation.prepare import prepare
from clients.preparation.settings import PrepareSettings


class LoadedImage(NamedTuple):
    """An image as a file has it; both arrays have the shape (channels, *space).

    ``stored`` are the file's own numbers, by which the image is named; ``values`` what they mean,
    as HU.  ``earlier`` has the pixels as earlier versions of the program read the file; ``affine``
    is as in :class:`clients.imaging.volume.Volume`.
    """

    stored: NDArray[np.generic]
    values: NDArray[np.generic]
    kind: Kind
    earlier: tuple[NDArray[np.generic], ...] = ()
    affine: NDArray[np.float64] | None = None

    @property
    def name(self) -> str:
        """The name under which the privacy ledger knows the image."""
        return record_name(self.stored)

    @property
    def older(self) -> frozenset[str]:
        """All names under which older ledgers may know it."""
        return all_older_names(self.stored, self.earlier)


def read_image(
    path: Path, image_size: int | None, settings: PrepareSettings
) -> NDArray[np.float32]:
    """Return one image as (channels, *space) in [0, 1].

    Raises :class:`DataError` as :func:`load_image` and :func:`prepare_image` do.
    """
    # Training and `srflm predict` share these steps: a model must see images alike in both.
    return prepare_image(load_image(path), path, image_size, settings)


def load_image(path: Path) -> LoadedImage:
    """Return the image in a file, in the order of axes of its reader.

    See :func:`clients.imaging.reading.read_volume`, whose errors this raises.
    """
    volume = read_volume(path)
    return LoadedImage(volume.stored, volume.values, volume.kind, volume.earlier, volume.affine)


def prepare_image(
    image: LoadedImage, path: Path, image_size: int | None, settings: PrepareSettings
) -> NDArray[np.float32]:
    """Return an image as float32 (channels, *space) in [0, 1].

    It is prepared by :func:`clients.preparation.prepare.prepare`, whose :class:`DataError` it
    raises; ``image_size`` is the length to which every side is resized then.
    """
    volume = Volume(image.stored, image.values, image.kind, image.affine)
    return resized(prepare(volume, None, "class", settings, str(path)).image, image_size)


def resized(pixels: NDArray[np.float32], image_size: int | None) -> NDArray[np.float32]:
    """Return an image (channels, *space) of which every side is ``image_size`` long, if given."""
    if image_size is not None:
        resize = Resize(spatial_size=(image_size,) * (pixels.ndim - 1))
        pixels = np.asarray(resize(torch.from_numpy(pixels)))
    return np.ascontiguousarray(pixels, dtype=np.float32)
