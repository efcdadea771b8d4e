"""The timeline: each vendor's part in each term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from srflm_flower.report.rendering import (
    BLUE,
    FAINT,
    GRID,
    SKY,
    VERMILION,
    WIDTH,
    house_style,
    label_terms,
    new_figure,
)
from srflm_flower.report.wording import shortened
from strategies.protocol.records import TermRecord

Part = Literal["served", "failed", "trained", "missed"]

ROW = 0.3
"""Height of a vendor's row in inches."""

MARKS = {
    "trained": ("trained as client", "o", SKY, SKY, 0.45),
    "missed": ("missed the term", "D", "white", FAINT, 0.4),
    "failed": ("elected but failed: another vendor stood in", "X", VERMILION, VERMILION, 0.65),
}
"""Part → label, marker, face and edge colour, and size as a fraction of a row."""


def part_of(vendor: str, record: TermRecord, elected: str | None = None) -> Part:
    """Return the part that ``vendor`` played in a term for which ``elected`` was to serve.

    A vendor has failed as server if it was elected and another has served, or if its absence
    belongs to an attempt before the committed one.  It may have trained as a client later in the
    same term, but still counts as failed.
    """
    if vendor == record.server:
        return "served"
    # Of one that was silent as the server the record has no absence: only the election tells it.
    if vendor == elected:
        return "failed"
    if any(a.vendor == vendor and a.attempt < record.attempt for a in record.absences):
        return "failed"
    return "trained" if vendor in record.ballots else "missed"


@house_style()
def timeline(
    roster: Sequence[str],
    records: Sequence[TermRecord],
    elected: Mapping[int, str] = MappingProxyType({}),
) -> Figure:
    """Draw vendors as rows and terms as columns, with a shape and a colour for each part.

    ``elected`` has the vendor that was to serve each term.
    """
    figure = new_figure(0.95 + ROW * len(roster))
    axes = figure.subplots()
    label_terms(axes, len(records))
    axes.set_ylim(len(roster) - 0.5, -0.5)  # reversed: the first vendor is at the top
    axes.set_yticks(range(len(roster)), [shortened(v, 24) for v in roster])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Term")
    axes.set_ylabel("Vendor")
    axes.spines["left"].set_visible(False)
    axes.hlines(range(len(roster)), 0.5, len(records) + 0.5, color=GRID, lw=0.8, zorder=0)
    cells = [
        (part_of(vendor, record, elected.get(record.term)), record.term, row)
        for row, vendor in enumerate(roster)
        for record in records
    ]
    for part, term, row in cells:
        if part == "served":
            axes.add_patch(Rectangle((term - 0.42, row - 0.36), 0.84, 0.72, facecolor=BLUE, lw=0))
    # The side of a cell in points (72 an inch), so that marks do not overlap in long runs.
    side = min(ROW, (WIDTH - 2) / len(records)) * 72
    for kind, (_, marker, face, edge, fraction) in MARKS.items():
        places = [(term, row) for part, term, row in cells if part == kind]
        axes.scatter(
            [term for term, _ in places],
            [row for _, row in places],
            s=(side * fraction) ** 2,
            marker=marker,
            facecolor=face,
            edgecolor=edge,
            linewidth=min(1.2, side / 8),
            zorder=3,
        )
    figure.legend(handles=_legend(), loc="outside upper left", ncols=4)
    return figure


def _legend() -> list[Artist]:
    entries: list[Artist] = [Patch(facecolor=BLUE, label="served (provisional server)")]
    for label, marker, face, edge, fraction in MARKS.values():
        entries.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker=marker,
                markersize=14 * fraction,
                markerfacecolor=face,
                markeredgecolor=edge,
                label=label,
            )
        )
    return entries
