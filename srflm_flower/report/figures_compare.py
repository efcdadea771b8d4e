"""Compare methods: a group of horizontal bars for each, with error bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from srflm_flower.report.rendering import (
    HATCHES,
    INK,
    PALETTE,
    house_style,
    new_figure,
)
from srflm_flower.report.wording import metric_in_full, number, shortened

BAR = 0.24
"""Thickness of a bar in inches."""


@house_style()
def comparison_figure(
    table: Mapping[str, Mapping[str, tuple[float, float]]], columns: Sequence[str], metric: str
) -> Figure:
    """Draw ``table``: method → column → (mean, standard deviation).

    A column that a method lacks leaves a gap.  Bars start at zero; methods keep their order.
    """
    group = len(columns) + 1  # one bar of space between the groups
    figure = new_figure(0.95 + BAR * group * len(table))
    axes = figure.subplots()
    for position, column in enumerate(columns):
        having = [
            (row, cells[column]) for row, cells in enumerate(table.values()) if column in cells
        ]
        if not having:
            continue
        heights = [row * group + position for row, _ in having]
        means, spreads = zip(*(cell for _, cell in having), strict=True)
        axes.barh(
            heights,
            means,
            xerr=spreads,
            height=0.86,
            color=PALETTE[position % len(PALETTE)],
            hatch=HATCHES[position % len(HATCHES)],
            edgecolor="white",
            linewidth=0.4,
            error_kw={"ecolor": INK, "elinewidth": 1.2, "capsize": 2.5},
            label=column,
        )
        for height, mean, spread in zip(heights, means, spreads, strict=True):
            place = (max(mean, 0.0) + spread, height)
            text = f"{number(mean)} ± {number(spread)}"
            axes.annotate(text, place, (6, 0), textcoords="offset points", va="center", fontsize=8)
    middle = (len(columns) - 1) / 2
    axes.set_yticks(
        [row * group + middle for row in range(len(table))], [shortened(m, 40) for m in table]
    )
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(table) * group - 1.2, -0.8)
    axes.margins(x=0.18)
    axes.set_xlabel(f"{metric_in_full(metric)} (mean ± standard deviation)")
    axes.grid(axis="x")
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper left", ncols=4)
    return figure
