"""The page as HTML, by templates of its own and the report's tables and colours."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment

import srflm_flower.report
from clients.files.templates import templates
from deploy.page.config import PageConfig
from deploy.page.markup import coded
from deploy.page.snapshot import Snapshot
from deploy.page.views.curves import NAMES
from deploy.page.views.messages import Field
from deploy.page.views.whole import whole
from srflm_flower.report.wording import duration, megabytes, number

HERE = Path(__file__).parent
REPORT = Path(srflm_flower.report.__file__).parent
TYPES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
"""The files that the page is made of besides its HTML, with their types."""


@cache
def asset(name: str) -> bytes:
    """Return a file of the page; raises KeyError for any other name."""
    if name not in TYPES:
        raise KeyError(name)
    own = (HERE / "assets" / name).read_bytes()
    return (REPORT / "report.css.md").read_bytes() + own if name == "page.css" else own


@cache
def _environment() -> Environment:
    return templates(
        HERE / "templates",
        REPORT,
        html=True,
        number=number,
        megabytes=megabytes,
        seconds=duration,
        clock=clock,
        iso=iso,
        coded=coded,
    )


def page(config: PageConfig, seen: Snapshot, ledger_page: int = 1) -> str:
    """Return the page of a site as HTML, with one page of its ledger."""
    it = whole(config, seen, ledger_page)
    names = {field.name: field for sent in it.outgoing.answers for field in sent.fields}
    fields: list[Field] = [names[name] for name in sorted(names)]
    return _environment().get_template("page.html.j2").render(it=it, kinds=NAMES, fields=fields)


def not_signed_in() -> str:
    """Return the page for those who have not shown the token."""
    return _environment().get_template("refused.html.j2").render()


def clock(seconds: float) -> str:
    """Return a time of day: with the date, unless it is today."""
    try:
        then = time.localtime(seconds)
    except (OverflowError, ValueError, OSError):
        return "at an unknown time"
    today = time.localtime()[:3] == then[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", then)


def iso(seconds: float) -> str:
    """Return a time for machines, in UTC."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return ""
