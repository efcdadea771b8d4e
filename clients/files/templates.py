"""Jinja templates that lie beside the code, for pages and for configurations of programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def templates(*folders: Path, html: bool, **filters: Callable[..., Any]) -> Environment:
    """Return the templates in these folders, which may use the ``filters`` by their names.

    With ``html`` every value is escaped: names in a federation file may contain markup.  A name
    without a value is an error (jinja2's UndefinedError), not an empty place.
    """
    # jinja2 takes long to import, and most commands fill in no template.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters)
    return environment
