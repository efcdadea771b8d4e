"""The house style of all figures, and figures as SVG or PNG files.

Figures are made with matplotlib's objects, without pyplot, so there is no window and no global
state.  Equal figures give equal bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
SKY, PURPLE, YELLOW, BLACK = "#56b4e9", "#cc79a7", "#f0e442", "#000000"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW, BLACK)
"""The colours of Okabe and Ito (2008), which people with colour blindness can tell apart."""

HATCHES = ("", "///", "...", "\\\\\\", "xxx", "|||", "ooo", "---")
INK, FAINT, GRID = "#1f2a37", "#6b7280", "#e3e7ec"
WIDTH = 9.0
"""Width of every figure in inches."""

STYLE: dict[Any, Any] = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "font.size": 9,
    "grid.color": GRID,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "path",  # looks the same where the font is not installed
    "svg.hashsalt": "srflm",  # otherwise the ids in the file are random
    "text.color": INK,
    "text.parse_math": False,  # a "$" in a name is not mathematics
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Use the house style within the block, or as a decorator within the function."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # the user's own matplotlibrc would change the bytes
        matplotlib.rcParams.update(STYLE)
        yield


def new_figure(height: float) -> Figure:
    """Return an empty figure of the common width and this height in inches."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def label_terms(axes: Axes, terms: int, ticks: int = 12) -> None:
    """Let the x-axis count terms from 1 to ``terms``, with about this many ticks."""
    axes.set_xlim(0.5, terms + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=ticks, integer=True, min_n_ticks=1))


@house_style()
def svg_of(figure: Figure) -> bytes:
    """Return the figure as an SVG file."""
    buffer = io.BytesIO()
    # A date or a version in the file would make the bytes of equal figures differ.
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    return buffer.getvalue()


@house_style()
def png_of(figure: Figure) -> bytes:
    """Return the figure as a PNG file of 150 dots an inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()
