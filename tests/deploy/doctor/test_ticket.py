"""The page for a ticket: whole by itself, and nothing in it that must stay at the site."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

from deploy.doctor.lines import error, of_error, ok, warning
from deploy.doctor.page import page_of, write_page
from deploy.page.markup import coded
from deploy.site.diagnosis import Diagnosis
from strategies.errors import DataError

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'
PATIENT = "Jane_Doe_1931.dcm"


def diagnosis() -> Diagnosis:
    """Return one with each severity, a hostile name, and a patient's name in an error's text."""
    broken = DataError(f"/srv/images/{PATIENT} cannot be read", "an image", f"remove {PATIENT}")
    return Diagnosis(
        vendor="aster",
        federation="f" * 64,
        version="0.1.0",
        time=datetime(2026, 5, 17, 12, 30, tzinfo=UTC),
        quick=False,
        lines=(
            ok("site.file", "site.toml is valid"),
            warning("peer.reached", HOSTILE, HOSTILE, at_home="/srv/secret"),
            of_error("data.read", broken, "this site's data cannot be trained on"),
            error("data.path", "`data` in site.toml names nothing", at_home="/srv/images"),
        ),
    )


class Tags(HTMLParser):
    """All tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_page_has_every_line_with_its_mend() -> None:
    page = page_of(diagnosis())
    for text in ("peer.reached", "data.read", "2 errors, 1 warning, 1 in order", "SRFLM-D"):
        assert text in page
    assert page.count("To mend it:") == 3


def test_page_needs_nothing_from_elsewhere_and_executes_nothing() -> None:
    tags = Tags(page_of(diagnosis())).found
    assert {tag for tag, _ in tags} & {"script", "img", "link", "iframe", "object"} == set()
    for _, attributes in tags:
        assert not {"src", "href", "onerror", "onload", "style"} & attributes.keys()
    page = page_of(diagnosis())
    assert "default-src 'none'" in page
    assert re.search(r"url\(|@import|https?://", page) is None
    assert "&lt;script&gt;" in page


def test_code_in_a_text_is_marked_and_escaped() -> None:
    assert coded("set `a<b` in <x>") == "set <code>a&lt;b</code> in &lt;x&gt;"
    assert coded("one ` alone") == "one ` alone"


def test_page_is_light_and_dark() -> None:
    assert "prefers-color-scheme: dark" in page_of(diagnosis())


def test_neither_page_nor_json_has_what_stays_at_home() -> None:
    found = diagnosis()
    for told in (page_of(found), found.model_dump_json()):
        assert PATIENT not in told and "/srv" not in told


def test_page_is_written_for_others_to_read(tmp_path: Path) -> None:
    write_page(tmp_path / "ticket.html", diagnosis())
    assert (tmp_path / "ticket.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
