"""From values, as HU, to inputs in [0, 1], by the rule on which all members have agreed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clients.imaging.volume import Volume
from clients.preparation.settings import PrepareSettings
from strategies.errors import DataError

DEVIATIONS = 4.0
"""A z-score is cut off at so many standard deviations, which become 0 and 1."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """``low`` and ``high`` (C, 1, …) become 0 and 1; all between is in proportion, the rest cut."""

    low: Floats
    high: Floats

    def inputs(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return values (C, *space) as float32 in [0, 1]; all 0 where there is no range."""
        clipped = values.astype(np.float64).clip(self.low, self.high)
        width = self.high - self.low
        scaled: NDArray[np.float32] = (
            (clipped - self.low) / np.where(width == 0, 1.0, width)
        ).astype(np.float32)
        return scaled


def check_values(image: Volume, settings: PrepareSettings, name: str) -> None:
    """Raise :class:`DataError` for values that are no image or not finite, or not for the rule.

    Refused are HU without a rule, and a picture for a window.
    """
    window = settings.window
    if image.kind == "hounsfield" and window is None and settings.normalise is None:
        # By its own range, the same tissue would be bright in one scanner's images and dark in
        # another's.
        raise DataError(
            f"{name} is a CT image in HU, and no window says which HU are 0 and 1",
            "the window that all members have agreed on",
            "add [data.prepare] to the federation file, with window = [-1024, 1024], or"
            " [-160, 240] for soft tissue; a model that was trained without one is not for CT",
            DataError.WINDOW,
        )
    if image.kind == "picture" and window is not None:
        raise DataError(
            f"{name} is a picture, whose brightness is in no unit, for a window of"
            f" {window[0]:g} to {window[1]:g}",
            "images in the unit of the window: DICOM, NIfTI, or NPY",
            "use the original image, or agree on no [data.prepare] window",
            DataError.WINDOW,
        )
    pixels = image.values
    is_image = pixels.ndim in (3, 4) and pixels.size > 0 and pixels.dtype.kind in "buif"
    if not is_image or not np.isfinite(pixels).all():
        raise DataError(
            f"{name} has pixels of shape {pixels.shape}, type {pixels.dtype}"
            + (", some NaN or infinite" if is_image else ""),
            "finite numbers in two or three spatial dimensions",
            "write the image again without NaN or infinite pixels, or remove it",
            DataError.UNREADABLE,
        )


def scale_of(image: Volume, values: NDArray[np.generic], settings: PrepareSettings) -> Scale:
    """Return the scale of an image, whose ``values`` (C, *space) may be resampled.

    A z-score and percentiles are those of each channel, as channels of MR are different series; a
    picture's colours have one scale.  The background, which a z-score leaves out, has the lowest
    value of a channel.  Without a rule, bytes go from 0 to 255, other values by their own range.
    """
    if settings.window is not None:
        return _same(*settings.window, values)
    if settings.normalise is None:
        if image.values.dtype == np.uint8:
            return _same(0.0, 255.0, values)  # as in .npz files
        return _same(float(values.min()), float(values.max()), values)
    channels = values.reshape(1 if image.kind == "picture" else len(values), -1)
    ends = np.array([_ends(channel.astype(np.float64), settings) for channel in channels])
    ends = np.broadcast_to(ends, (len(values), 2))
    shape = (-1,) + (1,) * (values.ndim - 1)
    return Scale(ends[:, 0].reshape(shape), ends[:, 1].reshape(shape))


def _ends(channel: Floats, settings: PrepareSettings) -> tuple[float, float]:
    """Return the values (n,) of one channel that become 0 and 1."""
    if settings.normalise == "percentile":
        low, high = np.percentile(channel, settings.percentiles)
        return float(low), float(high)
    body = channel[channel > channel.min()]
    if not body.size:  # one value throughout
        body = channel
    mean, reach = float(body.mean()), DEVIATIONS * float(body.std())
    return mean - reach, mean + reach


def _same(low: float, high: float, values: NDArray[np.generic]) -> Scale:
    shape = (len(values),) + (1,) * (values.ndim - 1)
    return Scale(np.full(shape, low), np.full(shape, high))
