"""The result as one page for an IT ticket: no script, nothing from elsewhere, nothing of patients.

It has what leaves the site in JSON too: codes, findings, mends; no path, no text of an exception.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from clients.files.durable import write_durably
from clients.files.templates import templates
from deploy.page.markup import coded
from deploy.site.diagnosis import Diagnosis

TEMPLATE: Final = "page.html.j2"


def write_page(path: Path, found: Diagnosis) -> None:
    """Write the page of a result; raises RunFolderError when it cannot be written."""
    write_durably(path, page_of(found).encode("utf-8"))


def page_of(found: Diagnosis) -> str:
    """Return the page of a result as HTML."""
    found_in = templates(Path(__file__).parent, html=True, code=coded)
    return found_in.get_template(TEMPLATE).render(found=found)
