"""Turn volumes so that their axes lead to the patient's right, front, and head (RAS).

Source: the orientations of nibabel; DICOM PS3.3, C.7.6.2.1.1 (left, posterior, superior).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From places as DICOM has them to places as NIfTI has them, both in mm."""

_FLATTEST = 1e-3


def is_degenerate(affine: NDArray[np.float64]) -> bool:
    """Return whether ``affine`` (4, 4) leads to no place, or flattens a voxel."""
    steps = affine[:3, :3]
    sizes = np.sqrt(np.square(steps).sum(axis=0))
    if not np.isfinite(affine).all() or (sizes < 1e-6).any():
        return True
    return bool(abs(np.linalg.det(steps / sizes)) < _FLATTEST)


def turned_to_ras(
    arrays: tuple[NDArray[Any], ...], affine: NDArray[np.float64]
) -> tuple[tuple[NDArray[Any], ...], NDArray[np.float64]]:
    """Return arrays (i, j, k) as views in the order of axes nearest to RAS, and their affine.

    ``affine`` leads from (i, j, k) to mm in RAS.  No voxel is resampled: axes are exchanged and
    reversed only.
    """
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    turns = io_orientation(affine)
    shape = arrays[0].shape
    turned = tuple(np.asarray(apply_orientation(array, turns)) for array in arrays)
    return turned, np.asarray(affine @ inv_ornt_aff(turns, shape), np.float64)
