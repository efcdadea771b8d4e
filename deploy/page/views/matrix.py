"""The vendor × vendor matrix: each vendor's last model as server, on each vendor's data.  Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.page.history import Term
from srflm_flower.report.wording import number

SHADES = 5
MOST = 16
"""Beyond this many vendors nobody reads the numbers."""


@dataclass(frozen=True)
class Cell:
    """A value as text; ``shade`` from 1, the lowest, to ``SHADES``; 0 without a value."""

    text: str
    shade: int
    own: bool


@dataclass(frozen=True)
class Row:
    """The model that ``server`` fine-tuned in ``term``, on the data of every vendor."""

    server: str
    term: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Matrix:
    """The rows, in the roster's order, with a cell for each of ``vendors``."""

    vendors: tuple[str, ...]
    rows: tuple[Row, ...]


def matrix(terms: Sequence[Term], roster: Sequence[str]) -> Matrix | None:
    """Return the matrix; None while fewer than two vendors have served, or for too many."""
    last: dict[str, Term] = {}
    for term in terms:
        if any("finetuned" in each for each in term.values.values()):
            last[term.server] = term
    servers = [vendor for vendor in roster if vendor in last]
    if len(servers) < 2 or len(roster) > MOST:
        return None
    table = {
        server: [last[server].values.get(at, {}).get("finetuned") for at in roster]
        for server in servers
    }
    known = [v for row in table.values() for v in row if v is not None and math.isfinite(v)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return Matrix(
        tuple(roster),
        tuple(
            Row(
                server,
                last[server].term,
                tuple(
                    Cell(number(value), _shade(value, low, high), at == server)
                    for at, value in zip(roster, table[server], strict=True)
                ),
            )
            for server in servers
        ),
    )


def _shade(value: float | None, low: float, high: float) -> int:
    if value is None or not math.isfinite(value):
        return 0
    if high <= low:
        return 1
    return min(SHADES, 1 + int(SHADES * (value - low) / (high - low)))
