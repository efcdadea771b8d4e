"""Tables of the report as plain data; ``table.html.j2.md`` renders them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A cell with its text in a monospaced font, such as a hash."""

    text: str


Cell = str | Code


@dataclass(frozen=True)
class Column:
    """A column of a table: its header, and whether it holds numbers or long text."""

    title: str
    numeric: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is the row's header."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    footer: Sequence[Cell] = ()

    def paired(self, row: Sequence[Cell]) -> Iterable[tuple[Column, Cell]]:
        """Return each cell of a row with its column; raises ValueError if their numbers differ."""
        return zip(self.columns, row, strict=True)
