"""Fill in ``edge.conf.j2``, the template of an edge's nginx configuration.

:mod:`deploy.edge.nginx` explains the edge, and checks each value before it passes it on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

TEMPLATE: Final = "edge.conf.j2"


def fill(**values: object) -> str:
    """Return the template with the values; raise jinja2's UndefinedError if one is missing."""
    # jinja2 takes long to import, and most commands write no configuration.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # it would escape for HTML, and nginx.conf is not HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["regex"] = re.escape
    return environment.get_template(TEMPLATE).render(values)
