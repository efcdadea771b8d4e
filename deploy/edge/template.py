"""Fill in ``edge.conf.j2``, the template of an edge's nginx configuration.

:mod:`deploy.edge` says what the edge is for, and checks each value before it comes here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

TEMPLATE: Final = "edge.conf.j2"


def fill(**values: object) -> str:
    """Return the template with the values; raises jinja2's UndefinedError when one is missing."""
    # jinja2 takes long to import, and most commands write no configuration.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # this would escape for HTML, which nginx does not read
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["regex"] = re.escape
    return environment.get_template(TEMPLATE).render(values)
