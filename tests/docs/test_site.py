"""The documentation builds without a warning, can be read without a network, and names what is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.commands import BIN, run
from tests.support.documents import PAGES, README, ROOT
from tests.support.waiting import PATIENCE_SECONDS

MAX_README_LINES = 150
PACKAGES = ("strategies", "clients", "srflm_flower", "deploy", "tests", "benchmarks", "examples")
# A file or folder of the project as the pages name it, with the folder where it begins.
NAMED_PATH = re.compile(rf"(?<![\w/.-])((?:{'|'.join((*PACKAGES, 'docs'))})/[\w./-]*\w)")
NAMED_MODULE = re.compile(r"python -m (benchmarks\.\w+)")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
FETCHED = re.compile(r"<(?:script|img|iframe|source)[^>]+src=\"?(?:https?:)?//|url\(\"?https?://")
STYLE = re.compile(r"<link[^>]+rel=\"?(?:stylesheet|preconnect|icon)[^>]+href=\"?(?:https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built pages; a broken link or anchor is a warning, and a warning fails here."""
    folder = tmp_path_factory.mktemp("site")
    ended = run(
        [BIN / "mkdocs", "build", "--strict", "--site-dir", folder],
        ROOT,
        timeout=PATIENCE_SECONDS,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def test_pages_fetch_nothing_from_another_host(site: Path) -> None:
    """Hospitals read them offline.  Material would fetch the script that draws Mermaid figures."""
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not FETCHED.search(text) and not STYLE.search(text), page.name
        assert 'class="mermaid"' not in text, page.name


def test_links_of_the_readme_lead_somewhere(site: Path) -> None:
    for target, anchor in LINK.findall(README.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        assert (ROOT / target).is_file(), target
        if anchor:
            page = site / Path(target).relative_to("docs").with_suffix(".html")
            assert f'id="{anchor}"' in page.read_text(encoding="utf-8"), f"{target}#{anchor}"


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {*NAMED_PATH.findall(LINK.sub("", text))}
    modules = {module.replace(".", "/") for module in NAMED_MODULE.findall(text)}
    named |= {f"{each}.py" for each in modules if not (ROOT / each / "__main__.py").exists()}
    assert sorted(path for path in named if not (ROOT / path).exists()) == []
