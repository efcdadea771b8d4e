"""The report as a sequence of headings, paragraphs, tables, and charts.  Markdown and PDF show it.

What it says is what the page says; ``tests`` hold the forms to one another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from srflm_flower.federation.federation import Federation
from srflm_flower.privacy.statement import exclusions, promise
from srflm_flower.report.page import heading_of
from srflm_flower.report.privacy import spent_table
from srflm_flower.report.table import Table
from srflm_flower.report.tables import (
    all_metrics_table,
    codes_table,
    costs_table,
    results_table,
    settings_table,
    terms_table,
)
from srflm_flower.results.advice import advice_line
from srflm_flower.results.summary import RunSummary, vendors_with
from strategies.protocol.records import TermRecord


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the report's own."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Text; ``strong`` for the one sentence that must be read."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Charts:
    """The place of the charts."""


Block = Heading | Paragraph | Table | Charts


def report_blocks(
    federation: Federation, records: Sequence[TermRecord], summary: RunSummary
) -> Iterator[Block]:
    """Yield the report's parts in reading order."""
    yield Heading(1, f"Report of the federation {summary.name}")
    yield Paragraph(f"{heading_of(federation, records, summary)}.")
    yield Paragraph(f"{summary.what_happened}.", strong=True)
    if not federation.privacy.private:
        yield Paragraph(promise(federation))
    yield Heading(2, "Results")
    yield from _results(federation, summary)
    if records:
        yield Charts()
    if federation.privacy.private:
        yield Heading(2, "Privacy")
        yield Paragraph(promise(federation))
        yield spent_table(federation, records)
        yield Paragraph(exclusions(federation))
    if records:
        yield Heading(2, "Terms")
        yield terms_table(records, summary.metric)
        codes = sorted({a.code for r in records for a in r.absences} | {summary.code} - {""})
        if codes:
            yield codes_table(codes)
    costs = costs_table(records)
    if costs.rows:
        yield Heading(2, "Time and traffic")
        yield costs
    yield Heading(2, "Settings")
    yield settings_table(federation, summary)


def _results(federation: Federation, summary: RunSummary) -> Iterator[Block]:
    yield results_table(federation, summary)
    having = vendors_with(summary)
    if not having:
        yield Paragraph("There are no figures on test data here.")
        return
    for vendor, each in summary.vendors.items():
        if each.advice is not None:
            yield Paragraph(advice_line(vendor, each.advice))
    for which in ("personalised", "released"):
        yield all_metrics_table(federation, summary, which)
