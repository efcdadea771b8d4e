"""The figures of a run's report, each with a title, a text alternative, and how to read it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from srflm_flower.federation.federation import Federation
from srflm_flower.report.figures_cost import phase_seconds, phases_of
from srflm_flower.report.figures_curves import MAX_PANELS, have_metric, learning_curves
from srflm_flower.report.figures_matrix import matrix
from srflm_flower.report.figures_timeline import timeline
from srflm_flower.report.rendering import svg_of
from srflm_flower.report.wording import metric_in_full, number
from srflm_flower.results.outcome import elected_in
from srflm_flower.results.summary import RunSummary
from strategies.protocol.records import TermRecord


@dataclass(frozen=True)
class Chart:
    """A figure with its title, a text in its place, and how to read it."""

    title: str
    figure: Figure
    alternative: str
    how_to_read: str


@dataclass(frozen=True)
class Illustration:
    """A figure on the page: an SVG file, with a text alternative for screen readers."""

    title: str
    svg: bytes
    alternative: str
    how_to_read: str

    @property
    def source(self) -> str:
        """The figure as a ``data:`` URL, so that the page fetches nothing."""
        return f"data:image/svg+xml;base64,{b64encode(self.svg).decode()}"


def illustrations(
    federation: Federation, records: Sequence[TermRecord], summary: RunSummary
) -> list[Illustration]:
    """Return the figures for which the run has data."""
    return [
        Illustration(each.title, svg_of(each.figure), each.alternative, each.how_to_read)
        for each in charts(federation, records, summary)
    ]


def charts(
    federation: Federation, records: Sequence[TermRecord], summary: RunSummary
) -> Iterator[Chart]:
    """Yield the figures for which the run has data, each drawn when it is asked for."""
    if have_metric(records, summary.metric):
        yield _curves(federation.roster, records, summary)
    if records:
        yield _timeline(federation, records)
    if any(summary.metric in cell for row in summary.cross.values() for cell in row.values()):
        yield _matrix(federation.roster, summary)
    if phases_of(records):
        yield _cost(records)


def _curves(roster: Sequence[str], records: Sequence[TermRecord], summary: RunSummary) -> Chart:
    metric = metric_in_full(summary.metric)
    many = len(roster) > MAX_PANELS
    layout = (
        "A panel for each kind of model: the line is the mean over the vendors, the band reaches"
        " from the lowest vendor to the highest."
        if many
        else "A panel for each vendor; grey stripes are the terms in which it was the server,"
        " gaps those in which it was absent."
    )
    return Chart(
        "How the models learnt",
        learning_curves(roster, records, summary.metric),
        f"Line chart: {metric.lower()} over {len(records)} terms for {len(roster)} vendors."
        " The mean values stand in the table of terms.",
        f"{layout} Values are each vendor's own validation data. The averaged model is what the"
        " server made of its clients' models; the fine-tuned one is that model after the server"
        " trained it on its own data, so it may fall at other vendors. The personalised model is"
        " the best that a vendor has seen so far. The vertical axis need not start at zero.",
    )


def _timeline(federation: Federation, records: Sequence[TermRecord]) -> Chart:
    roster, elected = federation.roster, elected_in(federation, records)
    served = "; ".join(
        f"term {record.term}: {record.server}"
        + (f" in place of {name}" if (name := elected[record.term]) != record.server else "")
        for record in records
    )
    return Chart(
        "Who served, who trained, who was missing",
        timeline(roster, records, elected),
        f"Chart of {len(roster)} vendors by {len(records)} terms. Servers: {served}.",
        "Read a row for one vendor's part in the run, a column for one term. Every column has one"
        " block, the provisional server. A cross is a vendor that was elected but could not do its"
        " part, so that the next in the ranking stood in for it. A vendor that missed a term sent"
        " no usable training result in it.",
    )


def _matrix(roster: Sequence[str], summary: RunSummary) -> Chart:
    metric = metric_in_full(summary.metric)
    cells = [
        (owner, at, summary.cross[owner][at][summary.metric])
        for owner in roster
        for at in roster
        if summary.metric in summary.cross.get(owner, {}).get(at, {})
    ]
    own = "; ".join(f"{owner} {number(value)}" for owner, at, value in cells if owner == at)
    return Chart(
        "How the personalised models do elsewhere",
        matrix(roster, summary.cross, summary.metric),
        f"Heat map of {metric.lower()}, model's vendor by data's vendor. On own data: {own}.",
        "Each row is one vendor's personalised model, each column the validation data of one"
        " vendor. Framed cells are a model on the data of its own vendor. A row that is good only"
        " in its frame belongs to a model that does not carry over; a column that is poor"
        " throughout belongs to data that every model finds hard. Grey cells have no value.",
    )


def _cost(records: Sequence[TermRecord]) -> Chart:
    total = sum(cost.seconds for record in records for cost in record.cost.values())
    return Chart(
        "Where the time went",
        phase_seconds(records),
        f"Stacked bars: seconds of every phase for {len(records)} terms, {total:.1f} in all.",
        "The height of a bar is how long the term took, as the server process saw it: computing at"
        " the vendors, transfer, and waiting for the slowest. Attempts that failed and the final"
        " storing of the record are not in it.",
    )
