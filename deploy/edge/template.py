"""Fill in ``edge.conf.j2``, the template of an edge's nginx configuration.

:mod:`deploy.edge.nginx` explains the edge, and checks each value before it passes it on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from clients.files.templates import templates

TEMPLATE: Final = "edge.conf.j2"


def fill(**values: object) -> str:
    """Return the template with the values; raise jinja2's UndefinedError if one is missing."""
    # Nothing is escaped for HTML, as nginx.conf is not HTML.
    found = templates(Path(__file__).parent, html=False, regex=re.escape)
    return found.get_template(TEMPLATE).render(values)
