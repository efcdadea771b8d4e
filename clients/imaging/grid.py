"""Find the voxels of a volume that one slice covers, whatever the volume's order of axes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clients.imaging.geometry import Plane, affine_of_slice

ON_GRID = 0.25
"""By how many voxels a slice may lie beside the voxels of a volume, and still be one of it."""


class Slot(NamedTuple):
    """The voxel of a slice's first pixel, and the step to that of the next row, and column.

    ``off`` is the largest distance, in voxels, between a corner of the slice and its voxel.
    """

    start: NDArray[np.intp]
    down: NDArray[np.intp]
    along: NDArray[np.intp]
    off: float

    def voxels(self, size: tuple[int, int]) -> tuple[NDArray[np.intp], ...]:
        """Return the index of each pixel's voxel along each axis, arrays of ``size`` (rows, …)."""
        row, column = np.arange(size[0])[:, None], np.arange(size[1])[None, :]
        return tuple(
            start + down * row + along * column
            for start, down, along in zip(self.start, self.down, self.along, strict=True)
        )


def slot_of(plane: Plane, affine: NDArray[np.float64]) -> Slot | None:
    """Return where a slice lies among the voxels of a volume with this ``affine`` (4, 4).

    None if its rows and columns do not run along the volume's voxels, one pixel for each.
    """
    exact = (np.linalg.inv(affine) @ affine_of_slice(plane))[:3]
    steps = np.rint(exact[:, :2])
    if not (np.abs(steps).sum(axis=0) == 1).all() or np.abs(steps).sum(axis=1).max() > 1:
        return None
    start = np.rint(exact[:, 3])
    ends = np.array([(r, c) for r in (0, plane.size[0] - 1) for c in (0, plane.size[1] - 1)])
    # Judged at the corners: a small difference of sizes or angles adds up over the slice.
    off = (exact[:, :2] - steps) @ ends.T + (exact[:, 3] - start)[:, None]
    whole = steps.astype(np.intp)
    return Slot(start.astype(np.intp), whole[:, 0], whole[:, 1], float(np.abs(off).max()))
