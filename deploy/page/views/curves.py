"""Learning curves as points of small SVG pictures, one for each vendor.  Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.page.history import KINDS, Term
from srflm_flower.report.wording import number

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, TOP, BOTTOM = 40.0, 8.0, 8.0, 22.0
MOST_POINTS = 160
"""Of one line; a long history is thinned out evenly, and its last term stays."""
MOST_PANELS = 12
NAMES = {
    "averaged": "averaged model",
    "finetuned": "fine-tuned model",
    "personalised": "personalised model",
}


@dataclass(frozen=True)
class Line:
    """A line of the kind ``kind``: the parts between gaps, each a list of points of SVG.

    A part of one point would be invisible as a line: it is in ``dots``.
    """

    kind: str
    parts: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    last: str


@dataclass(frozen=True)
class Tick:
    """A mark of the vertical axis: its height, and its number."""

    y: float
    text: str


@dataclass(frozen=True)
class Panel:
    """One vendor's curves; ``stripes`` (left edge, width) are the terms in which it served."""

    vendor: str
    lines: tuple[Line, ...]
    stripes: tuple[tuple[float, float], ...]

    @property
    def in_words(self) -> str:
        """The last values, for those that do not see the picture."""
        told = ", ".join(f"{NAMES[line.kind]} {line.last}" for line in self.lines)
        return f"{self.vendor}: {told or 'no values'}"


@dataclass(frozen=True)
class Curves:
    """All panels, which share their axes; ``left_out`` vendors have none, for want of room."""

    title: str
    panels: tuple[Panel, ...]
    ticks: tuple[Tick, ...]
    first: int
    last: int
    left_out: int
    width: int = WIDTH
    height: int = HEIGHT
    left: float = LEFT
    bottom: float = HEIGHT - BOTTOM
    right: float = WIDTH - RIGHT


def curves(terms: Sequence[Term], roster: Sequence[str], own: str, title: str) -> Curves | None:
    """Return the curves of all vendors, the own one first; None without any value."""
    values = [v for term in terms for each in term.values.values() for v in each.values()]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = _limits(min(finite), max(finite))
    kept = _thinned(terms)
    order = [own, *(vendor for vendor in roster if vendor != own)]
    shown = [vendor for vendor in order if any(vendor in term.values for term in terms)]
    scale = _Scale(terms[0].term, terms[-1].term, low, high)
    return Curves(
        title,
        tuple(_panel(terms, kept, vendor, scale) for vendor in shown[:MOST_PANELS]),
        tuple(Tick(scale.y(at), number(at, 2)) for at in (low, (low + high) / 2, high)),
        terms[0].term,
        terms[-1].term,
        len(shown[MOST_PANELS:]),
    )


@dataclass(frozen=True)
class _Scale:
    first: int
    last: int
    low: float
    high: float

    def x(self, term: float) -> float:
        """Return where a term is."""
        span = max(1, self.last - self.first)
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (term - self.first) / span, 1)

    def y(self, value: float) -> float:
        """Return the height of a value."""
        share = (value - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)


def _limits(low: float, high: float) -> tuple[float, float]:
    """Return the ends of the vertical axis; equal values get some room."""
    room = (high - low) * 0.06 or abs(high) * 0.06 or 0.06
    return low - room, high + room


def _thinned(terms: Sequence[Term]) -> Sequence[Term]:
    step = math.ceil(len(terms) / MOST_POINTS)
    return terms[(len(terms) - 1) % step :: step]


def _panel(terms: Sequence[Term], kept: Sequence[Term], vendor: str, scale: _Scale) -> Panel:
    lines = tuple(line for kind in KINDS if (line := _line(kept, vendor, kind, scale)) is not None)
    half = max(1.0, scale.x(scale.first + 0.5) - LEFT)
    served = [term.term for term in terms if term.server == vendor]
    stripes = []
    for at in served[-MOST_POINTS:]:
        left = max(LEFT, scale.x(at) - half)
        stripes.append((left, round(min(WIDTH - RIGHT, scale.x(at) + half) - left, 1)))
    return Panel(vendor, lines, tuple(stripes))


def _line(terms: Sequence[Term], vendor: str, kind: str, scale: _Scale) -> Line | None:
    parts: list[list[tuple[float, float]]] = [[]]
    last = None
    for term in terms:
        value = term.values.get(vendor, {}).get(kind)
        if value is None or not math.isfinite(value):
            parts.append([])
            continue
        parts[-1].append((scale.x(term.term), scale.y(value)))
        last = value
    if last is None:
        return None
    return Line(
        kind,
        tuple(" ".join(f"{x},{y}" for x, y in part) for part in parts if len(part) > 1),
        tuple(part[0] for part in parts if len(part) == 1),
        number(last),
    )
