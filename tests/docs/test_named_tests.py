"""A claim of the pages names the test that attacks it: that test is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.documents import PAGES, ROOT

NAMED_TEST = re.compile(r"`(?:tests/)?((?:\w+/)*test_\w+\.py)(?:::(test_\w+))?`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_tests_that_a_page_names_are_there(page: Path) -> None:
    for file, function in NAMED_TEST.findall(page.read_text(encoding="utf-8")):
        found = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob(file)]
        assert len(found) == 1, f"{file} names {len(found)} files"
        assert not function or f"def {function}(" in "".join(found), f"{file}::{function}"


@pytest.mark.parametrize("name", ["safety", "threat-model", "epsilon"])
def test_claims_name_tests(name: str) -> None:
    text = (ROOT / "docs" / "explanation" / f"{name}.md").read_text(encoding="utf-8")
    assert len(NAMED_TEST.findall(text)) >= 8


def test_each_friction_names_a_test_function() -> None:
    page = ROOT / "docs" / "explanation" / "frictions.md"
    rows = [
        line.split("|")[1:-1]
        for line in page.read_text(encoding="utf-8").splitlines()
        if re.match(r"\| \d+ \|", line)
    ]
    assert [int(row[0]) for row in rows] == list(range(1, 21))
    for number, _, now, tests in rows:
        assert now.strip() and any(name for _, name in NAMED_TEST.findall(tests)), number
