"""Pictures on a page: accessible, small, part of it, and not in what may be handed on."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest
from PIL import Image

from clients.case_pictures import Shown, ShownCase
from srflm_flower.federation.loading import built_in_federation
from srflm_flower.report import write_cases
from srflm_flower.report.page import report_page
from srflm_flower.report.pictures import Pictures, pictures_of
from tests.srflm_flower.report.test_page import Page, completed, run
from tests.support.learning.tasks import classification, restoration, segmentation


def png() -> bytes:
    content = io.BytesIO()
    Image.new("L", (8, 8), 90).save(content, "PNG")
    return content.getvalue()


def pictures(kind: str = "segmentation") -> Pictures:
    tasks = {"segmentation": segmentation(), "restoration": restoration()}
    cells = (
        Shown(((png(), "Input"),), ""),
        Shown((), "<b>class</b>"),
        Shown(((png(), "A"), (png(), "B")), "Dice 0.5"),
        Shown((), ""),
    )
    cases = [ShownCase("worst", cells), ShownCase("best", cells)]
    return pictures_of({"a<i>": cases}, tasks.get(kind, classification()))


def test_every_picture_has_a_text_and_a_place_in_a_table() -> None:
    federation, records = run()
    summary = completed(federation, records)
    page = Page(report_page(federation, records, summary, pictures()))
    images = [dict(attributes) for tag, attributes in page.tags if tag == "img"]
    mine = [each for each in images if (each["src"] or "").startswith("data:image/png;base64,")]
    assert len(mine) == 6 and all(each["alt"] for each in mine)
    assert {each["alt"] for each in mine} >= {"a<i>, worst case: Input", "a<i>, best case: B"}
    assert page.count("table") == page.count("caption")
    assert "Validation cases of a<i>" in page.words()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("segmentation", "Colours of the masks"),
        ("restoration", "red where it is too bright"),
        ("classification", "In brackets stands the class's probability"),
    ],
)
def test_page_says_how_cases_are_chosen_and_drawn(tmp_path: Path, kind: str, words: str) -> None:
    write_cases(tmp_path / "cases.html", built_in_federation(4), pictures(kind))
    page = Page((tmp_path / "cases.html").read_text(encoding="utf-8"))
    assert "the worst, the median, and the best" in page.words() and words in page.words()
    assert ("organ-1" in page.words()) == (kind == "segmentation")


def test_report_says_where_pictures_are_that_it_must_not_have() -> None:
    federation, records = run()
    summary = completed(federation, records)
    page = Page(report_page(federation, records, summary, Pictures(apart=True)))
    assert "cases.html" in page.words()
    assert not any("image/png" in (dict(a).get("src") or "") for _, a in page.tags)


def test_page_of_pictures_alone_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "cases.html"
    write_cases(path, built_in_federation(4), pictures())
    page = Page(path.read_text(encoding="utf-8"))
    assert page.count("img") == 6 and page.count("h1") == page.count("title") == 1
    assert "only to those who may see the images" in page.words()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
