"""The report as Markdown, for a wiki or a version control system; a chart is its text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from srflm_flower.federation.federation import Federation
from srflm_flower.report.figures import illustrations
from srflm_flower.report.forms.blocks import Charts, Heading, Paragraph, report_blocks
from srflm_flower.report.table import Cell, Table
from srflm_flower.results.summary import RunSummary
from strategies.protocol.records import TermRecord

_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|#"})


def report_markdown(
    federation: Federation, records: Sequence[TermRecord], summary: RunSummary
) -> str:
    """Return the report as Markdown."""
    return "\n\n".join(_parts(federation, records, summary)) + "\n"


def _parts(
    federation: Federation, records: Sequence[TermRecord], summary: RunSummary
) -> Iterator[str]:
    for block in report_blocks(federation, records, summary):
        match block:
            case Heading(level, text):
                yield f"{'#' * level} {_plain(text)}"
            case Paragraph(text, strong):
                yield f"**{_plain(text)}**" if strong else _plain(text)
            case Table():
                yield _table(block)
            case Charts():
                for chart in illustrations(federation, records, summary):
                    yield f"## {_plain(chart.title)}\n\n{_plain(chart.alternative)}"


def _table(table: Table) -> str:
    heading = [_plain(column.title) for column in table.columns]
    rule = ["---:" if column.numeric else "---" for column in table.columns]
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    footer = [[f"**{_cell(cell)}**" if cell else "" for cell in table.footer]] * bool(table.footer)
    lines = [heading, rule, *rows, *footer]
    return f"**{_plain(table.caption)}**\n\n" + "\n".join(f"| {' | '.join(r)} |" for r in lines)


def _cell(cell: Cell) -> str:
    return _plain(cell) if isinstance(cell, str) else f"`{cell.text}`"


def _plain(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is, on one line."""
    return " ".join(text.split()).translate(_MARKS)
