"""Markdown of the pages that follow from the code: a whole page, a table, a class's summary."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

NOTE = "<!-- Written by docs/generate.py from the code; change the code, then `make reference`. -->"


def page(title: str, intro: str, parts: Iterable[str]) -> str:
    return "\n\n".join([f"# {title}", NOTE, intro, *parts]) + "\n"


def summary(kind: type) -> str:
    """Return the first sentence of a class's docstring, as Markdown."""
    first = " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())
    return first.replace("``", "`")


def table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
