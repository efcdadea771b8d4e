"""The figure of the time that each phase of each term took, as stacked bars."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from srflm_flower.report.rendering import (
    HATCHES,
    PALETTE,
    house_style,
    label_terms,
    new_figure,
)
from strategies.phases import PHASES, phase_in_full
from strategies.protocol.records import PhaseCost, TermRecord


def phases_of(records: Sequence[TermRecord]) -> list[str]:
    """Return the phases that occur: known ones in the order of a term, then others by name."""
    seen = {phase for record in records for phase in record.cost}
    return [p for p in PHASES if p in seen] + sorted(seen - set(PHASES))


@house_style()
def phase_seconds(records: Sequence[TermRecord]) -> Figure:
    """Draw a stacked bar for each term; phases differ in hatching as well as in colour."""
    figure = new_figure(2.9)
    axes = figure.subplots()
    label_terms(axes, len(records))
    axes.set_xlabel("Term")
    axes.set_ylabel("Wall-clock time (seconds)")
    axes.grid(axis="y")
    terms = [record.term for record in records]
    bottom = [0.0] * len(records)
    for position, phase in enumerate(phases_of(records)):
        seconds = [record.cost.get(phase, PhaseCost()).seconds for record in records]
        axes.bar(
            terms,
            seconds,
            bottom=bottom,
            width=0.7,
            color=PALETTE[position % len(PALETTE)],
            hatch=HATCHES[position % len(HATCHES)],
            edgecolor="white",
            linewidth=0.4,
            label=phase_in_full(phase),
        )
        bottom = [low + high for low, high in zip(bottom, seconds, strict=True)]
    figure.legend(loc="outside upper left", ncols=5)
    return figure
