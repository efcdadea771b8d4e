"""The names that ledgers of older versions may have for a DICOM image.

Those versions read it by MONAI, transposed; from the pixels of that form they made its name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clients.data.examples import name_in_own_type, older_names, record_name


def former_names(
    stored: NDArray[np.generic], rescale: tuple[float, float] | None
) -> frozenset[str]:
    """Return all names that an image with ``stored`` pixels (channels, height, width) has had.

    ``rescale`` is (slope, intercept) as in the file, None if it has neither.
    """
    transposed = stored.swapaxes(1, 2)
    # MONAI's reader by pydicom applied a rescale of (1, 0) too; the one by ITK kept the type then.
    read = [transposed] if rescale in (None, (1.0, 0.0)) else []
    if rescale is not None:
        slope, intercept = np.float64(rescale[0]), np.float64(rescale[1])
        read.append(transposed.astype(np.float32) * slope + intercept)
    names = {name for each in read for name in (record_name(each), *older_names(each))}
    # ITK gave whole numbers as integers.  Only the first kind of names told such types apart.
    return frozenset(names | {name_in_own_type(each) for each in _as_integers(read[-1])})


def _as_integers(pixels: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """Return the pixels in each type that ITK may have given, if they are whole numbers."""
    if pixels.size == 0 or not np.isfinite(pixels).all() or (np.rint(pixels) != pixels).any():
        return []
    low, high = float(pixels.min()), float(pixels.max())
    kinds = (np.dtype(np.int16), np.dtype(np.uint16), np.dtype(np.int32))
    fitting = [kind for kind in kinds if np.iinfo(kind).min <= low <= high <= np.iinfo(kind).max]
    return [pixels.astype(kind) for kind in fitting]
