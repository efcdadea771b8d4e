"""Make the phantom images of one vendor: its own patients, seen by its own scanner."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clients.data.phantom.anatomy import draw_slices
from clients.data.phantom.ellipses import Floats
from clients.data.phantom.scanner import (
    Scanner,
    acquire,
    acquire_pair,
    scanner_for,
    with_heterogeneity,
)


@dataclass(frozen=True)
class PhantomImages:
    """n slices of one scanner with their true labels.

    `images` and `low_dose` (None unless asked for) are float32 (n, 1, size, size) in 0..1,
    `labels` int64 (n,) indices into LESION_CLASSES, `masks` uint8 (n, size, size) labels of Organ.
    """

    images: Floats
    labels: npt.NDArray[np.int64]
    masks: npt.NDArray[np.uint8]
    scanner: Scanner
    low_dose: Floats | None = None


def make_vendor(
    index: int,
    count: int,
    size: int = 64,
    seed: int = 0,
    heterogeneity: float = 1.0,
    class_probabilities: Sequence[float] | None = None,
    pairs: bool = False,
) -> PhantomImages:
    """Make `count` images of vendor `index`; with `pairs`, quarter-dose images too.

    The same arguments give the same images, whatever other vendors there are. Raises ValueError
    for an argument out of its range.
    """
    scanner = with_heterogeneity(scanner_for(index), heterogeneity)
    # Two generators: `heterogeneity` then changes the scanner but not the patients.
    patients, noise = np.random.SeedSequence([seed, index]).spawn(2)
    slices = draw_slices(
        count,
        size,
        scanner.pixel_at(size),
        np.random.default_rng(patients),
        class_probabilities=class_probabilities,
    )
    rng = np.random.default_rng(noise)
    low_dose = None
    if pairs:
        low_dose, images = acquire_pair(slices, scanner, rng)
    else:
        images = acquire(slices, scanner, rng)
    return PhantomImages(images, slices.lesion, slices.organs, scanner, low_dose)
