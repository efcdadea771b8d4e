"""The critical-difference picture: methods at their average ranks, bars over those alike."""

from __future__ import annotations

from matplotlib.figure import Figure

from benchmarks.study.ranks import Ranking, cliques
from srflm_flower.report.rendering import INK, house_style, new_figure

STEP = 0.28
"""Inches between two lines of text."""


@house_style()
def critical_difference_picture(ranking: Ranking) -> Figure:
    """Draw the average ranks, best on the left."""
    ordered = sorted(ranking.ranks, key=lambda method: ranking.ranks[method])
    bars = cliques(ranking)
    figure = new_figure(1.0 + STEP * (len(ordered) + len(bars)))
    axes = figure.subplots()
    most = len(ordered)
    for line, method in enumerate(ordered):
        height, rank = -(line + 1 + len(bars)), ranking.ranks[method]
        axes.plot([rank, rank, most + 0.4], [0, height, height], color=INK, linewidth=0.8)
        axes.text(most + 0.5, height, f"{method}  {rank:.2f}", va="center", fontsize=8)
    for line, group in enumerate(bars):
        ends = ranking.ranks[group[0]] - 0.05, ranking.ranks[group[-1]] + 0.05
        axes.plot(ends, [-(line + 0.6)] * 2, color=INK, linewidth=3)
    axes.set_xlim(0.8, most + 3)
    axes.set_ylim(-(len(ordered) + len(bars)) - 1, 0.5)
    axes.set_xticks(range(1, most + 1))
    axes.xaxis.tick_top()
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    tasks = "1 task" if ranking.tasks == 1 else f"{ranking.tasks} tasks"
    axes.set_xlabel(
        f"average rank over {tasks}; methods under one bar differ by less than"
        f" {ranking.critical:.2f}"
    )
    return figure
