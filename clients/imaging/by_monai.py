"""Read what no reader of this project knows by a reader of MONAI, if one is installed for it."""

from __future__ import annotations

import logging
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clients.imaging.volume import Volume

if TYPE_CHECKING:
    from monai.transforms import LoadImage


def read_by_monai(path: Path) -> Volume:
    """Return an image (channels, *space) as ``monai.transforms.LoadImage`` reads it.

    Nothing is known of its geometry here. Raises whatever MONAI and its readers raise.
    """
    try:
        pixels = np.asarray(_reader(None)(path))
    except ValueError:
        # Torch refuses arrays of foreign byte order. They are never uint8, so that float32 here
        # does not change how the image is scaled.
        pixels = np.asarray(_reader(np.float32)(path))
    return Volume(pixels, pixels, "numbers")


@cache
def _reader(dtype: type | None) -> LoadImage:
    from monai.transforms import LoadImage

    # Where pydicom is installed, MONAI warns and logs that it has no decoder for GPUs.
    logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "NvImgCodecPydicomReader")
        return LoadImage(image_only=True, ensure_channel_first=True, dtype=dtype)
