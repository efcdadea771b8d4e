"""Draw a picture of the phantom: the same patients on each vendor's scanner, and its noise."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clients.data.phantom.anatomy import draw_slices
from clients.data.phantom.lesions import LESION_CLASSES
from clients.data.phantom.organs import Organ
from clients.data.phantom.scanner import (
    Scanner,
    acquire,
    quantum_noise,
    scanner_for,
    with_heterogeneity,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NOISE_HU = 80.0  # half the grey scale of the noise images
_INK, _PAPER, _MARK = "#e8eaed", "#15181c", "#ffb454"


def write_preview(
    path: str | os.PathLike[str],
    scanners: Sequence[Scanner | int] = (0, 1, 2, 3),
    seed: int = 0,
    size: int = 128,
    heterogeneity: float = 1.0,
) -> Path:
    """Write a PNG with a column per scanner (or vendor's index) and a row per lesion class.

    The lowest row shows the noise alone. Patients are those of `seed`. Returns the path.
    """
    from matplotlib.figure import Figure  # here, because training never needs it

    if not scanners:
        raise ValueError("a preview needs at least one scanner, found none")
    chosen = [s if isinstance(s, Scanner) else scanner_for(s) for s in scanners]
    chosen = [with_heterogeneity(s, heterogeneity) for s in chosen]
    rows = len(LESION_CLASSES) + 1
    figure = Figure(figsize=(2.5 * len(chosen) + 0.5, 2.5 * rows + 1.2), facecolor=_PAPER, dpi=110)
    axes = figure.subplots(rows, len(chosen), squeeze=False)
    for column, scanner in enumerate(chosen):
        _fill_column(list(axes[:, column]), scanner, seed, size)
    _name_rows(axes[:, 0])
    figure.subplots_adjust(0.04, 0.03, 0.99, 0.92, wspace=0.03, hspace=0.03)
    figure.savefig(path, format="png", facecolor=_PAPER)
    return Path(path)


def _fill_column(axes: "list[Axes]", scanner: Scanner, seed: int, size: int) -> None:
    """Show the patients of `seed` as one scanner sees them, drawn at the scanner's own pixel."""
    patients, noise = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    classes = range(len(LESION_CLASSES))
    slices = draw_slices(len(classes), size, scanner.pixel_at(size), patients, lesion_types=classes)
    images = acquire(slices, scanner, noise)[:, 0]
    for ax, image, organs in zip(axes, images, slices.organs, strict=False):
        ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        _mark_lesion(ax, organs == Organ.LESION)
    grain = quantum_noise(slices, scanner, noise, scanner.dose)[0]
    axes[-1].imshow(grain, cmap="gray", vmin=-_NOISE_HU, vmax=_NOISE_HU, interpolation="nearest")
    noise_sd = float(np.std(grain[slices.organs[0] > 0]))
    axes[0].set_title(_caption(scanner), color=_INK, fontsize=8, linespacing=1.4)
    axes[-1].set_xlabel(f"noise sd in the body {noise_sd:.0f} HU", color=_INK, fontsize=8)
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)


def _caption(scanner: Scanner) -> str:
    low = scanner.window_centre - scanner.window_width / 2
    return (
        f"{scanner.name}\n"
        f"MTF50 {scanner.kernel_cutoff:.1f} lp/cm, boost {scanner.kernel_boost:.1f}\n"
        f"dose {scanner.dose:.2f}, noise {scanner.noise_hu:.0f} HU at dose 1\n"
        f"contrast x{scanner.contrast_scale:.2f}, offset {scanner.offset_hu:+.0f} HU\n"
        f"pixel {scanner.pixel_mm:.2f} mm, window {low:.0f}..{low + scanner.window_width:.0f} HU"
    )


def _mark_lesion(ax: "Axes", lesion: npt.NDArray[np.bool_]) -> None:
    """Mark the corners of the lesion's bounding box, so that the lesion itself stays visible."""
    if not lesion.any():
        return
    margin = lesion.shape[0] / 32
    places = np.argwhere(lesion)
    (top, left), (bottom, right) = places.min(axis=0) - margin, places.max(axis=0) + margin
    tick = (right - left) / 4
    for x, inwards in ((left, tick), (right, -tick)):
        for y, along in ((top, tick), (bottom, -tick)):
            ax.plot([x + inwards, x, x], [y, y, y + along], color=_MARK, linewidth=0.9)


def _name_rows(axes: "npt.NDArray[np.object_]") -> None:
    names = [*LESION_CLASSES, f"noise, +/-{_NOISE_HU:.0f} HU"]
    for ax, name in zip(axes, names, strict=True):
        ax.set_ylabel(name, color=_INK, fontsize=9)
