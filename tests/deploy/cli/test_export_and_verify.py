"""What ``srflm export`` and ``srflm verify`` print of a package, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from srflm_flower.package.about import read_about
from strategies.errors import ConfigurationError, PackageError
from tests.support.deployed import DeployedFederation
from tests.support.documents import ROOT, blocks_of
from tests.support.tiny import tiny_federation

PAGE = ROOT / "docs" / "how-to" / "model-package.md"


def call(*words: object) -> str:
    """Run a command that must succeed; return what it prints."""
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def documented_about() -> str:
    """Return the example on the page."""
    (text,) = [block.text for block in blocks_of(PAGE) if block.language == "toml"]
    return text


def test_site_exports_a_package_and_anybody_verifies_it(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, ("a", "b", "c")))
    sites.order("a", rounds=1)
    sites.turn()
    (tmp_path / "about.toml").write_text(documented_about(), encoding="utf-8")
    out, federation = tmp_path / "out", sites.site("a").federation.hash
    site = sites.folders["a"]
    printed = call("export", site, "--out", out, "--about", tmp_path / "about.toml")
    assert "Outcome: 1 of 1 term\n" in printed and federation in printed
    assert "Five Safes" not in printed
    told = f"{federation[:8]} {federation[8:40]}"
    printed = call("verify", out / "tiny-a.zip", out / "package", "--federation", told)
    assert printed.count("signed by a") == 2 and "Compare this hash" not in printed
    assert "as in the ledger" in printed
    assert "does not claim the Five Safes profile" in call("export", site, "--out", out)
    assert "Compare this hash" in call("verify", out / "package", site)
    valid = json.loads(call("verify", out / "package", site, "--json"))
    (package,) = valid["packages"].values()
    assert (package["vendor"], package["terms"], package["compared"]) == ("a", 1, False)
    assert package["federation"] == federation
    assert valid["sites"]["a"]["terms"] == 1 and not valid["sites"]["a"]["behind"]
    (out / "package" / "data" / "model-card.md").write_text("All is well.")
    result = CliRunner().invoke(app, ["verify", str(out / "package")])
    assert isinstance(result.exception, PackageError)
    assert "data/model-card.md has another content" in result.exception.found


@pytest.mark.parametrize("told", ["", "4f1c", "not a hash, but as long as one would be"])
def test_hash_that_is_none_is_refused(told: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    result = CliRunner().invoke(app, ["verify", str(tmp_path), "--federation", told])
    assert isinstance(result.exception, ConfigurationError)


def test_documented_about_file_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "about.toml"
    path.write_text(documented_about(), encoding="utf-8")
    about = read_about(path)
    assert about.requester is not None and about.project is not None and len(about.limits) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("intended-use = 3", "intended-use"),
        ("intended = 'x'", "intended"),
        ("[requester]\nname = 'R'", "organisation"),
        ("[requester]\nname = 'R'\norganisation = 'A'\norcid = 'javascript:x'", "orcid"),
        ("= =", "not TOML"),
    ],
)
def test_about_file_that_is_wrong_says_where(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "about.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=said):
        read_about(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_about(tmp_path / "none.toml")
