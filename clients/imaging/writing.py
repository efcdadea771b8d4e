"""Write what a network has found as NIfTI, where it lies in the patient."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUFFIX = ".nii.gz"


def nifti_bytes(values: NDArray[Any], affine: NDArray[np.float64]) -> bytes:
    """Return a mask (*space) or an image (*space) as a compressed NIfTI file, byte for byte.

    ``affine`` (4, 4) leads to mm, right, anterior, superior.  Whole numbers keep their type;
    others become float32.  A slice gets a third axis of length 1.
    """
    import nibabel

    kept = values if values.dtype.kind in "ui" else values.astype(np.float32)
    volume = kept[..., None] if kept.ndim == 2 else kept
    image = nibabel.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm")
    # Without a time in the archive's header, equal results are equal files.
    return gzip.compress(image.to_bytes(), mtime=0)
