"""What the stored numbers of a grey DICOM image mean: HU in CT, else the modality's own values.

Source: DICOM PS3.3, C.11.1 (modality LUT), C.7.6.3.1.2 (photometric interpretation), and
C.7.5.1.1.2 (pixel padding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom import Dataset

AIR = -1024.0
"""The HU of what lies outside of the body, and of the scanner's field of view."""

# US is "unspecified". The rest is free text: a large maker writes "Houndsfield Unit".
_HOUNSFIELD = ("HU", "HOUN", "US")


def is_in_hounsfield_units(dataset: Dataset) -> bool:
    """Return whether the file says how its numbers become HU."""
    known = "ModalityLUTSequence" in dataset or (
        "RescaleSlope" in dataset and "RescaleIntercept" in dataset
    )
    unit = str(dataset.get("RescaleType") or "HU").strip().upper()
    return known and unit.startswith(_HOUNSFIELD)


def real_values(stored: NDArray[np.generic], dataset: Dataset) -> NDArray[np.generic]:
    """Return what ``stored`` (height, width) means, with padding as air, and bright as high.

    CT gives HU from −1024 up, other modalities what their rescale says. The type is float32; bytes
    without a rescale stay uint8.
    """
    from pydicom.pixels import apply_modality_lut

    values = np.asarray(apply_modality_lut(stored, dataset))
    is_ct = dataset.get("Modality") == "CT"
    # A HU is the same whatever the display makes of it.
    if dataset.PhotometricInterpretation == "MONOCHROME1" and not is_ct:
        values = _reflected(values, stored, dataset)
    values = _without_padding(values, _padding(stored, dataset), AIR if is_ct else None)
    if is_ct:
        values = np.maximum(
            values, AIR
        )  # outside of the field of view, scanners write −2048, −3024
    plain = stored.dtype == np.uint8 and not _is_rescaled(dataset)
    return values.astype(np.uint8 if plain else np.float32)


def _is_rescaled(dataset: Dataset) -> bool:
    if "ModalityLUTSequence" in dataset:
        return True
    return (dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)) != (1, 0)


def _reflected(
    values: NDArray[np.generic], stored: NDArray[np.generic], dataset: Dataset
) -> NDArray[np.generic]:
    """Return values of which the lowest is the darkest, where it was the brightest."""
    from pydicom.pixels import apply_modality_lut

    if stored.dtype.kind == "f":
        ends = np.array([values.min(), values.max()])
    else:
        # Reflected in the range that the file declares, not in the image's own: the same tissue has
        # the same value in all images of a scanner.
        bits = int(dataset.BitsStored)
        low = -(1 << (bits - 1)) if dataset.PixelRepresentation else 0
        range_ = np.array([low, low + (1 << bits) - 1], dtype=stored.dtype)
        ends = np.asarray(apply_modality_lut(range_, dataset))
    reflected: NDArray[np.generic] = ends.astype(np.float64).sum() - values
    return reflected


def _padding(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    """Return where the scanner wrote a number that stands for no measurement."""
    first = dataset.get("PixelPaddingValue")
    if first is None or stored.dtype.kind not in "iu":
        return np.zeros(stored.shape, np.bool_)
    last = dataset.get("PixelPaddingRangeLimit")
    ends = [_in_type(stored.dtype, first if each is None else each) for each in (first, last)]
    return np.asarray((stored >= min(ends)) & (stored <= max(ends)))


def _in_type(kind: np.dtype[Any], number: int) -> int:
    """Return a number of the header as the pixels' type reads the same bits."""
    # Scanners write −2000 as 63536 in the header beside signed pixels.
    bits = 8 * kind.itemsize
    number %= 1 << bits
    return number - (1 << bits) if number > np.iinfo(kind).max else number


def _without_padding(
    values: NDArray[np.generic], padding: NDArray[np.bool_], air: float | None
) -> NDArray[np.generic]:
    """Return values with ``air`` in place of padding; None: with the lowest value that is none."""
    if not padding.any() or (air is None and padding.all()):
        return values
    return np.where(padding, values[~padding].min() if air is None else air, values)
