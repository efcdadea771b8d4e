"""The figure of a privacy plan: ε over the rounds, and the noise that other plans would need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

from srflm_flower.report.rendering import (
    BLACK,
    BLUE,
    FAINT,
    INK,
    PALETTE,
    house_style,
    new_figure,
)


@dataclass(frozen=True)
class Line:
    """A line of the figure; ``x`` and ``y`` have the same length."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class TradeOff:
    """The values of the figure, for the vendor that needs the most noise.

    ``over_rounds`` is ε against rounds, with a line for each noise, the planned one first.
    ``over_epsilon`` is noise against ε, with a line for each batch size, the planned one first.
    """

    vendor: str
    epsilon: float
    delta: float
    rounds: int
    noise: float
    over_rounds: Sequence[Line]
    over_epsilon: Sequence[Line]
    unit: str = "record"


@house_style()
def trade_off_figure(trade_off: TradeOff) -> Figure:
    """Draw ε over the rounds on the left, and noise over ε on the right."""
    figure = new_figure(4.0)
    left, right = figure.subplots(1, 2)
    _draw_rounds(left, trade_off)
    _draw_noise(right, trade_off)
    figure.suptitle(
        f"Privacy plan at {trade_off.vendor}, the vendor that needs most noise"
        f" (ε at δ = {trade_off.delta:g}, one {trade_off.unit} added or removed)",
        fontsize=10,
        color=INK,
    )
    return figure


def _draw_rounds(axes: Axes, trade_off: TradeOff) -> None:
    axes.set_title("The longer the run, the more is spent")
    _lines(axes, trade_off.over_rounds)
    axes.axhline(trade_off.epsilon, color=BLACK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.annotate(
        f"budget ε = {trade_off.epsilon:g}",
        (0.0, trade_off.epsilon),
        xytext=(4, 4),
        textcoords="offset points",
        color=FAINT,
        fontsize=8,
    )
    axes.plot([trade_off.rounds], [trade_off.over_rounds[0].y[-1]], "o", color=BLUE, zorder=4)
    axes.set_xlabel("rounds, those as the server among them")
    axes.set_ylabel("ε spent")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0, trade_off.rounds * 1.02)
    axes.set_ylim(0, trade_off.epsilon * 1.6)  # lines with less noise end above the budget
    axes.legend(title="noise multiplier σ (client)", loc="lower right", fontsize=8)


def _draw_noise(axes: Axes, trade_off: TradeOff) -> None:
    axes.set_title("The smaller ε, the more noise it takes")
    _lines(axes, trade_off.over_epsilon)
    axes.plot([trade_off.epsilon], [trade_off.noise], "o", color=BLUE, zorder=4)
    axes.annotate(
        f"the plan: σ = {trade_off.noise:.3g}",
        (trade_off.epsilon, trade_off.noise),
        xytext=(-8, -10),
        textcoords="offset points",
        ha="right",
        color=INK,
        fontsize=8,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(NullFormatter())
    axes.set_xticks(*_ticks([x for line in trade_off.over_epsilon for x in line.x]))
    axes.set_yticks(*_ticks([y for line in trade_off.over_epsilon for y in line.y]))
    axes.set_xlabel("ε of the whole run")
    axes.set_ylabel("noise multiplier σ (client)")
    axes.legend(title="batch, with the same steps", loc="upper right", fontsize=8)


def _ticks(values: Sequence[float]) -> tuple[list[float], list[str]]:
    """Return ticks at 1, 2, 5 times powers of ten in the values' range, for a logarithmic axis."""
    low, high = min(values), max(values)
    ticks = [
        factor * 10.0**power
        for power in range(-3, 5)
        for factor in (1, 2, 5)
        if low * 0.9 <= factor * 10.0**power <= high * 1.1
    ]
    return ticks, [f"{tick:g}" for tick in ticks]


def _lines(axes: Axes, lines: Sequence[Line]) -> None:
    axes.grid(True, linewidth=0.6)
    for index, line in enumerate(lines):
        axes.plot(
            line.x,
            line.y,
            color=PALETTE[index],
            linewidth=2.2 if index == 0 else 1.3,
            label=line.label,
        )
