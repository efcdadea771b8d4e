"""TOML files that the documents show are valid, and mean what the pages say."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from deploy.site.settings import SITE_FILE, load_site
from srflm_flower.federation.loading import built_in_federation, load_federation
from tests.support.documents import PAGES, ROOT, blocks_of

SHOWN = [
    pytest.param(block.text, id=f"{page.relative_to(ROOT).as_posix()}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks_of(page))
    if block.language == "toml"
]


def is_whole_federation(tree: dict[str, object]) -> bool:
    """Return whether a block is a federation file and not a table of one."""
    return "vendors" in tree and "data" in tree


@pytest.mark.parametrize("text", SHOWN)
def test_documented_toml_is_accepted(text: str, tmp_path: Path) -> None:
    tree = tomllib.loads(text)
    path = tmp_path / "federation.toml"
    path.write_text(text, encoding="utf-8")
    if is_whole_federation(tree):
        assert len(load_federation(path).roster) == len(tree["vendors"])
    elif "vendor" in tree:
        path = path.rename(tmp_path / SITE_FILE)
        assert load_site(path).vendor == tree["vendor"]


def test_tables_for_privacy_are_accepted(tmp_path: Path) -> None:
    """The page shows tables for the federation file, and one for the site's."""
    page = ROOT / "docs" / "how-to" / "privacy-budget.md"
    table, _, features, limits = [
        block.text for block in blocks_of(page) if block.language == "toml"
    ]
    example = (ROOT / "examples" / "phantom" / "private.toml").read_text(encoding="utf-8")
    shown = tomllib.loads(table)["privacy"]
    before, _, after = example.partition("[privacy]")
    rest = after[after.index("[run]") :]
    (tmp_path / "federation.toml").write_text(f"{before}{table}{rest}", encoding="utf-8")
    privacy = load_federation(tmp_path / "federation.toml").privacy
    assert (privacy.metrics, privacy.client_steps) == (shown["metrics"], shown["client-steps"])
    (tmp_path / "federation.toml").write_text(features, encoding="utf-8")
    shipped = load_federation(ROOT / "examples" / "pbc" / "private-features.toml").model.features
    agreed = load_federation(tmp_path / "federation.toml").model.features
    assert agreed is not None and shipped is not None and agreed.sha256 == shipped.sha256
    (tmp_path / SITE_FILE).write_text(f'vendor = "aster"\n{limits}', encoding="utf-8")
    assert load_site(tmp_path).privacy.required


def test_example_is_the_demonstration_written_out() -> None:
    """The tutorial says so, and its test runs the one in place of the other."""
    example = load_federation(ROOT / "examples" / "phantom" / "federation.toml")
    assert example == built_in_federation()
