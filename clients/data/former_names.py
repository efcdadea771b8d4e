"""The names that ledgers of older versions may have for an image that they read otherwise.

Those versions read DICOM and NIfTI by MONAI: DICOM transposed, and NIfTI in the order of axes in
the file; from the pixels of that form they made an image's name.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clients.data.examples import name_in_own_type, older_names, record_name


def former_names(earlier: Sequence[NDArray[np.generic]]) -> frozenset[str]:
    """Return all names of an image that was read as ``earlier``, each (channels, *space)."""
    names = {name for each in earlier for name in (record_name(each), *older_names(each))}
    # ITK gave whole numbers as integers.  Only the first kind of names told such types apart.
    integers = _as_integers(earlier[-1]) if earlier else []
    return frozenset(names | {name_in_own_type(each) for each in integers})


def all_older_names(
    stored: NDArray[np.generic], earlier: Sequence[NDArray[np.generic]]
) -> frozenset[str]:
    """Return the names in older ledgers of an image that is ``stored``, and was ``earlier``, so."""
    return former_names(earlier).union(older_names(stored))


def _as_integers(pixels: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """Return the pixels in each type that ITK may have given, if they are whole numbers."""
    if pixels.size == 0 or not np.isfinite(pixels).all() or (np.rint(pixels) != pixels).any():
        return []
    low, high = float(pixels.min()), float(pixels.max())
    kinds = (np.dtype(np.int16), np.dtype(np.uint16), np.dtype(np.int32))
    fitting = [kind for kind in kinds if np.iinfo(kind).min <= low <= high <= np.iinfo(kind).max]
    return [pixels.astype(kind) for kind in fitting]
