"""The report as a PDF of A4 pages, to be printed and signed; matplotlib draws it.

Equal runs give equal bytes: no date and no version of a program is in the file.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from PIL import Image

from srflm_flower.federation.federation import Federation
from srflm_flower.report.figures import charts
from srflm_flower.report.forms.blocks import Charts, Heading, Paragraph, report_blocks
from srflm_flower.report.rendering import BLUE, FAINT, GRID, INK, house_style, png_of
from srflm_flower.report.table import Cell, Table
from srflm_flower.results.summary import RunSummary
from strategies.protocol.records import TermRecord

PAGE = (8.27, 11.69)
"""A4 in inches."""
MARGIN = 0.75
WIDTH = PAGE[0] - 2 * MARGIN
SIZES = {1: 18.0, 2: 13.0}
TEXT, SMALL = 9.0, 7.0
LETTERS = 0.5
"""Mean width of a letter as a fraction of its size, a little too wide so that lines fit."""
MOST_LETTERS = 40  # of one cell on a line


class _Sheet:
    """Pages on which things are placed from top to bottom; ``y`` is in inches from the top."""

    def __init__(self, pages: PdfPages) -> None:
        self._pages, self._number = pages, 0
        self._figure: Figure | None = None
        self.y = 0.0

    def need(self, height: float) -> Figure:
        """Return the page that has this height left, a new one if need be."""
        if self._figure is None or self.y + height > PAGE[1] - MARGIN:
            self.end()
            self._figure, self.y = Figure(figsize=PAGE), MARGIN
            self._number += 1
        return self._figure

    def text(self, text: str, size: float, x: float = 0.0, **look: object) -> None:
        """Write one line at the current height, ``x`` inches from the margin."""
        figure = self.need(0.0)
        place = ((MARGIN + x) / PAGE[0], 1 - self.y / PAGE[1])
        figure.text(*place, text, fontsize=size, va="top", **look)  # type: ignore[arg-type]

    def rule(self, colour: str) -> None:
        """Draw a line across the page at the current height."""
        figure = self.need(0.0)
        axes = figure.add_axes((MARGIN / PAGE[0], 1 - self.y / PAGE[1], WIDTH / PAGE[0], 1e-9))
        axes.set_axis_off()
        axes.axhline(0, color=colour, lw=0.8, clip_on=False)

    def image(self, png: bytes) -> None:
        """Place a chart over the whole width."""
        with Image.open(io.BytesIO(png)) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        height = _height_of(png)
        figure = self.need(height)
        left, bottom = MARGIN / PAGE[0], 1 - (self.y + height) / PAGE[1]
        axes = figure.add_axes((left, bottom, WIDTH / PAGE[0], height / PAGE[1]))
        axes.set_axis_off()
        axes.imshow(pixels, aspect="auto", interpolation="none")
        self.y += height

    def end(self) -> None:
        """Finish the open page."""
        if self._figure is not None:
            place = (1 - MARGIN / PAGE[0], MARGIN / 2 / PAGE[1])
            self._figure.text(*place, str(self._number), fontsize=SMALL, ha="right", color=FAINT)
            self._pages.savefig(self._figure)  # type: ignore[no-untyped-call]
        self._figure = None


@house_style()
def report_pdf(federation: Federation, records: Sequence[TermRecord], summary: RunSummary) -> bytes:
    """Return the report as a PDF file."""
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Producer", "CreationDate"))
    title = {"Title": f"Report of the federation {summary.name}"}
    with PdfPages(buffer, metadata={**nothing, **title}) as pages:
        sheet = _Sheet(pages)
        for block in report_blocks(federation, records, summary):
            match block:
                case Heading(level, text):
                    _heading(sheet, level, text)
                case Paragraph(text, strong):
                    _paragraph(sheet, text, strong)
                case Table():
                    _table(sheet, block)
                case Charts():
                    _charts(sheet, federation, records, summary)
        sheet.end()
    return buffer.getvalue()


def _height_of(png: bytes) -> float:
    """Return the height of a chart over the whole width, in inches."""
    with Image.open(io.BytesIO(png)) as opened:
        return WIDTH * opened.height / opened.width


def _heading(sheet: _Sheet, level: int, text: str, below: float = 0.6) -> None:
    size = SIZES[level]
    sheet.need(size / 72 + 0.6 + below)  # no heading stands alone at the end of a page
    sheet.y += 0.15 * (level > 1)
    for line in _lines(text, size, WIDTH):
        sheet.text(line, size, weight="bold", color=INK)
        sheet.y += size / 72 * 1.3
    if level > 1:
        sheet.rule(BLUE)
    sheet.y += 0.08


def _paragraph(sheet: _Sheet, text: str, strong: bool, size: float = TEXT) -> None:
    for line in _lines(text, size, WIDTH):
        sheet.need(size / 72 * 1.4)
        sheet.text(line, size, color=INK, weight="bold" if strong else "normal")
        sheet.y += size / 72 * 1.4
    sheet.y += 0.08


def _charts(
    sheet: _Sheet, federation: Federation, records: Sequence[TermRecord], summary: RunSummary
) -> None:
    for chart in charts(federation, records, summary):
        png = png_of(chart.figure)
        _heading(sheet, 2, chart.title, _height_of(png))  # both on one page
        sheet.image(png)
        sheet.y += 0.05
        _paragraph(sheet, chart.how_to_read, False, SMALL + 1)


def _table(sheet: _Sheet, table: Table) -> None:
    """Write a table; one that is too wide has a line for each column of a row instead."""
    rows = [[_text(cell) for cell in row] for row in (*table.rows, *filter(None, [table.footer]))]
    heading = [column.title for column in table.columns]
    widths = _widths(heading, rows)
    _paragraph(sheet, table.caption, True, TEXT)
    if sum(widths) > WIDTH:
        for row in rows:
            _as_sentence(sheet, heading, row)
        sheet.y += 0.1
        return
    _row(sheet, heading, widths, "bold")
    sheet.rule(FAINT)
    sheet.y += 0.04
    for number, row in enumerate(rows):
        _row(sheet, row, widths, "bold" if number >= len(table.rows) else "normal")
    sheet.y += 0.12


def _widths(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[float]:
    """Return the width of each column in inches, so that its longest cell fits."""
    wanted = []
    for column, title in enumerate(heading):
        cells = [min(len(row[column]), MOST_LETTERS) for row in rows]
        longest = max([*cells, *(len(word) for word in title.split())])
        wanted.append((longest + 2) * SMALL / 72 * (LETTERS + 0.08))
    return wanted


def _row(sheet: _Sheet, cells: Sequence[str], widths: Sequence[float], weight: str) -> None:
    step = SMALL / 72 * 1.35
    split = [_lines(each, SMALL, width) for each, width in zip(cells, widths, strict=True)]
    height = step * max(map(len, split))
    sheet.need(height + 0.05)
    top, x = sheet.y, 0.0
    for lines, width in zip(split, widths, strict=True):
        for number, line in enumerate(lines):
            sheet.y = top + number * step
            sheet.text(line, SMALL, x, weight=weight, color=INK)
        x += width
    sheet.y = top + height + 0.02
    sheet.rule(GRID)
    sheet.y += 0.03


def _as_sentence(sheet: _Sheet, heading: Sequence[str], row: Sequence[str]) -> None:
    pairs = [f"{title} {cell}" for title, cell in zip(heading, row, strict=True) if cell]
    _paragraph(sheet, "; ".join(pairs), False, SMALL)


def _lines(text: str, size: float, width: float) -> list[str]:
    letters = max(4, int(width / (size / 72 * LETTERS)))
    return textwrap.wrap(text, letters) or [""]


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.text
