"""Build HTML from nested elements; whatever is not HTML already is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

VOID = ("meta", "col", "br")


class Html(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


@dataclass(frozen=True)
class Column:
    """A column of a table: its header; aligned as numbers are, or kept wide for long text."""

    title: str
    numeric: bool = False
    wide: bool = False


def element(tag: str, *children: str, **attributes: str) -> Html:
    """Return an element; attributes are spelt ``class_`` and ``aria_label`` here."""
    spelt = (
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
    )
    opening = f"<{tag}{''.join(spelt)}>"
    return Html(opening if tag in VOID else f"{opening}{joined(*children)}</{tag}>")


def joined(*children: str) -> Html:
    """Return the children one after another, each escaped unless it is :class:`Html`."""
    return Html("".join(c if isinstance(c, Html) else escape(c) for c in children))


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    footer: Sequence[str] | None = None,
) -> Html:
    """Return a table in a box that scrolls sideways; the first cell of a row is its header."""
    head = element("tr", *(_cell("th", c, c.title, scope="col") for c in columns))
    parts = [
        element("caption", caption),
        element("thead", head),
        element("tbody", *(_row(columns, row) for row in rows)),
    ]
    if footer is not None:
        parts.append(element("tfoot", _row(columns, footer)))
    return scrolling(caption, element("table", *parts))


def scrolling(label: str, content: Html) -> Html:
    """Return a box that scrolls sideways on narrow screens and can be reached by keyboard."""
    return element("div", content, class_="scroll", role="region", tabindex="0", aria_label=label)


def _row(columns: Sequence[Column], cells: Sequence[str]) -> Html:
    first, *others = zip(columns, cells, strict=True)
    return element(
        "tr",
        _cell("th", *first, scope="row"),
        *(_cell("td", column, text) for column, text in others),
    )


def _cell(tag: str, column: Column, text: str, **attributes: str) -> Html:
    if column.numeric or column.wide:
        attributes["class_"] = "number" if column.numeric else "wide"
    return element(tag, text, **attributes)
