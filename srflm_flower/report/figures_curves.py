"""Learning curves: a metric on validation data, term by term, of the three kinds of model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from srflm_flower.report.rendering import (
    BLUE,
    FAINT,
    GREEN,
    GRID,
    ORANGE,
    house_style,
    label_terms,
    new_figure,
)
from srflm_flower.report.wording import metric_in_full, shortened
from strategies.protocol.records import TermRecord

MAX_PANELS = 12
"""Up to this many vendors have a panel each; for more, the figure shows their mean and range."""

LOOKS = {
    "averaged": ("global model, averaged", ORANGE, "--", "s"),
    "finetuned": ("global model, fine-tuned", GREEN, ":", "^"),
    "personalised": ("personalised model", BLUE, "-", "o"),
}


def values_by_term(
    records: Sequence[TermRecord], vendor: str, kind: str, metric: str
) -> list[float]:
    """Return the vendor's value in every term; NaN, drawn as a gap, for a missing value."""
    return [
        getattr(record.metrics[vendor], kind).get(metric, math.nan)
        if vendor in record.metrics
        else math.nan
        for record in records
    ]


def have_metric(records: Sequence[TermRecord], metric: str) -> bool:
    """Return whether any vendor has reported ``metric`` for any model."""
    return any(
        metric in getattr(metrics, kind)
        for record in records
        for metrics in record.metrics.values()
        for kind in LOOKS
    )


@house_style()
def learning_curves(roster: Sequence[str], records: Sequence[TermRecord], metric: str) -> Figure:
    """Draw the curves: a panel for each vendor, or for many vendors a panel for each model."""
    if len(roster) <= MAX_PANELS:
        return _panel_for_each_vendor(roster, records, metric)
    return _panel_for_each_model(roster, records, metric)


def _panel_for_each_vendor(
    roster: Sequence[str], records: Sequence[TermRecord], metric: str
) -> Figure:
    figure, panels = _panels(len(roster), len(records), metric)
    for axes, vendor in zip(panels, roster, strict=True):
        axes.set_title(shortened(vendor, 18), loc="left")
        for record in records:
            if record.server == vendor:
                axes.axvspan(record.term - 0.5, record.term + 0.5, color=GRID, lw=0, zorder=0)
        for kind, (label, colour, line, marker) in LOOKS.items():
            axes.plot(
                [record.term for record in records],
                values_by_term(records, vendor, kind, metric),
                color=colour,
                linestyle=line,
                linewidth=2.0 if kind == "personalised" else 1.4,
                marker=marker,
                markersize=_marker_size(len(records)),
                label=label,
            )
    handles, labels = panels[0].get_legend_handles_labels()
    handles.append(_served_patch())
    figure.legend(handles, [*labels, "the vendor itself served"], loc="outside upper left", ncols=4)
    return figure


def _panel_for_each_model(
    roster: Sequence[str], records: Sequence[TermRecord], metric: str
) -> Figure:
    figure, panels = _panels(len(LOOKS), len(records), metric)
    terms = np.asarray([record.term for record in records])
    for axes, (kind, (label, colour, line, marker)) in zip(panels, LOOKS.items(), strict=True):
        axes.set_title(label, loc="left")
        values = np.asarray([values_by_term(records, v, kind, metric) for v in roster])
        # numpy warns about the mean of a term in which no vendor has a value: leave it out.
        present = ~np.isnan(values).all(axis=0)
        if not present.any():
            continue
        low, high, mean = np.full((3, len(records)), np.nan)
        low[present] = np.nanmin(values[:, present], axis=0)
        high[present] = np.nanmax(values[:, present], axis=0)
        mean[present] = np.nanmean(values[:, present], axis=0)
        axes.fill_between(terms, low, high, color=colour, alpha=0.25, lw=0)
        size = _marker_size(len(records))
        axes.plot(terms, mean, color=colour, ls=line, lw=2.0, marker=marker, ms=size)
        # The band has no width where both neighbours of a term are gaps; a line shows its range.
        axes.vlines(terms, low, high, color=colour, alpha=0.25, lw=0.8)
    return figure


def _panels(count: int, terms: int, metric: str) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` panels that share their axes."""
    columns = 2 if count in (2, 4) else 4 if count > 9 else 3  # few empty places in the last row
    rows = math.ceil(count / columns)
    figure = new_figure(0.7 + 2.1 * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    panels = [axes for row in grid for axes in row]
    for position, axes in enumerate(panels):
        if position >= count:
            axes.set_visible(False)
            continue
        axes.grid(axis="y")
        label_terms(axes, terms, ticks=6)
        axes.tick_params(labelbottom=position + columns >= count)
        if position + columns >= count:
            axes.set_xlabel("Term")
        if position % columns == 0:
            axes.set_ylabel(metric_in_full(metric))
    return figure, panels[:count]


def _marker_size(terms: int) -> float:
    return min(4.5, max(1.5, 90 / terms))


def _served_patch() -> Patch:
    return Patch(facecolor=GRID, edgecolor=FAINT, linewidth=0.5)
