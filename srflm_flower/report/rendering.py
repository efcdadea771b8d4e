"""The house style of all figures, and figures as SVG text or PNG bytes.

Figures are made with matplotlib's objects, without pyplot: no window, no state left behind.
Same figure, same bytes: the style starts from matplotlib's defaults, not the user's own.
"""

from __future__ import annotations

import io
import re
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
    "svg.fonttype": "path",
    "svg.hashsalt": "srflm",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Use the house style within; also a decorator."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
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
def svg_of(figure: Figure, name: str = "figure", label: str = "") -> str:
    """Return the figure as an ``<svg>`` element for a page.

    ``name`` goes before every id, so that several fit one page; ``label`` is the text for those
    who cannot see the figure.  It has no fixed size: it fills the width that it is given.
    """
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'xlink:href="#', f'href="#{name}-', text)
    text = text.replace("url(#", f"url(#{name}-")
    box = re.search(r'viewBox="[^"]*"', text)
    if box is None:
        raise ValueError("matplotlib wrote an SVG without a viewBox")
    opening = f'<svg role="img" {box[0]} xmlns="http://www.w3.org/2000/svg">'
    title = f"<title>{_escaped(label)}</title>" if label else ""
    return opening + title + text[text.index(">") + 1 :].strip()


@house_style()
def png_of(figure: Figure) -> bytes:
    """Return the figure as a PNG file of 150 dots an inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
