"""The vendor × vendor matrix: each personalised model's metric on each vendor's data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from srflm_flower.report.rendering import GRID, INK, VERMILION, house_style, new_figure
from srflm_flower.report.wording import metric_in_full, number, shortened
from strategies.protocol.records import Metrics

Cross = Mapping[str, Mapping[str, Metrics]]
MAX_NUMBERS = 16
"""Beyond this many vendors the numbers would not fit their cells."""


def matrix_values(roster: Sequence[str], cross: Cross, metric: str) -> list[list[float]]:
    """Return one row for each model and one column for each vendor's data; NaN if missing."""
    return [
        [cross.get(owner, {}).get(at, {}).get(metric, math.nan) for at in roster]
        for owner in roster
    ]


@house_style()
def matrix(roster: Sequence[str], cross: Cross, metric: str) -> Figure:
    """Draw the matrix as a heat map with numbers; the diagonal is framed."""
    values = np.asarray(matrix_values(roster, cross, metric))
    size = len(roster)
    figure = new_figure(1.5 + max(1.4, min(0.46 * size, 8.0)))
    axes = figure.subplots()
    axes.set_facecolor(GRID)
    edges = np.arange(size + 1) - 0.5
    shades = axes.pcolormesh(
        edges, edges, np.ma.masked_invalid(values), cmap="Blues", edgecolor="white", linewidth=2
    )
    axes.invert_yaxis()
    names = [shortened(vendor) for vendor in roster]
    widest = max(map(len, names)) * size
    axes.set_xticks(range(size), names, rotation=0 if widest < 90 else 90)
    axes.set_yticks(range(size), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Validation data of …")
    axes.set_ylabel("Personalised model of …")
    for diagonal in range(size):
        corner = (diagonal - 0.47, diagonal - 0.45)
        axes.add_patch(Rectangle(corner, 0.94, 0.9, fill=False, ec=VERMILION, lw=1.6))
    low, high = (float(limit or 0.0) for limit in shades.get_clim())
    if size <= MAX_NUMBERS:
        for (row, column), value in np.ndenumerate(values):
            dark = value > low + 0.6 * (high - low)  # dark text is hard to read on these shades
            colour = "white" if dark else INK
            axes.text(column, row, number(value), ha="center", va="center", color=colour)
    scale = figure.colorbar(shades, ax=axes, label=metric_in_full(metric), aspect=30, pad=0.02)
    if scale.solids is not None:  # paths: an embedded image would be blurred when enlarged
        scale.solids.set(rasterized=False, edgecolor="face", linewidth=0.3)
    return figure
