"""The result as one page for an IT ticket: no script, nothing from elsewhere, nothing of patients.

It has what leaves the site in JSON too: codes, findings, mends; no path, no text of an exception.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clients.files.durable import write_durably
from deploy.site.diagnosis import Diagnosis

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATE: Final = "page.html.j2"


def write_page(path: Path, found: Diagnosis) -> None:
    """Write the page of a result; raises RunFolderError when it cannot be written."""
    write_durably(path, page_of(found).encode("utf-8"))


def with_code(text: str) -> Markup:
    """Return a text as HTML, with what is between backticks as code; all of it is escaped."""
    from markupsafe import Markup, escape

    parts = re.split(r"`([^`]*)`", text)
    coded = (escape(part) if n % 2 == 0 else _code(part) for n, part in enumerate(parts))
    return Markup().join(coded)


def _code(text: str) -> Markup:
    from markupsafe import Markup

    return Markup("<code>{}</code>").format(text)


def page_of(found: Diagnosis) -> str:
    """Return the page of a result as HTML."""
    # jinja2 takes long to import, and most examinations write no page.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # names of peers and hosts come from the federation file
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = with_code
    return environment.get_template(TEMPLATE).render(found=found)
