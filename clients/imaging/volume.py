"""An image as a file or a series has it: its values, and where its voxels lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["hounsfield", "numbers", "picture"]
"""HU; numbers with a meaning of their own; a picture, whose numbers mean brightness only."""


@dataclass(frozen=True)
class Volume:
    """``stored`` and ``values`` have the shape (channels, *space), with two or three axes of space.

    ``stored`` are the file's own numbers, ``values`` what they mean, as HU.  ``affine`` (4, 4), in
    mm, leads from the index of a voxel (i, j, k) to its place in the patient, right, anterior,
    superior (RAS); of a picture without geometry it is None.  A slice of two dimensions has the
    index (i, j, 0).  ``earlier`` has the pixels as earlier versions of this program read the file,
    if otherwise: the privacy ledger may know the image by them.
    """

    stored: NDArray[np.generic]
    values: NDArray[np.generic]
    kind: Kind
    affine: NDArray[np.float64] | None = None
    earlier: tuple[NDArray[np.generic], ...] = ()

    @property
    def spacing(self) -> tuple[float, ...]:
        """The size of a voxel along each axis of space in mm; 1 without an affine."""
        dims = self.values.ndim - 1
        if self.affine is None:
            return (1.0,) * dims
        sizes = np.sqrt(np.square(self.affine[:3, :dims]).sum(axis=0))
        return tuple(float(size) for size in sizes)
