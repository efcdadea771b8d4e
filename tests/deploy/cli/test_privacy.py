"""``srflm privacy``: a plan that is written is a valid federation; what is shown was spent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from clients.data.sources import load_vendor_data
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.ledger import Reservation
from clients.privacy.ledger.manifest import manifest_of
from clients.privacy.ledger.policy import Budget
from clients.privacy.ledger.rows import Use
from deploy.cli import app
from deploy.site.privacy_files import site_ledger
from deploy.site.settings import SITE_FILE, SiteSettings, load_site
from deploy.site.site_on_disk import SiteOnDisk
from deploy.site.starts import found_ledger
from srflm_flower.federation.loading import load_federation
from strategies.errors import ConfigurationError, PrivacyError
from tests.support.tiny import tiny_federation

BUDGET = Budget(8.0, 1e-5)
PLANNED = """# ours
[run]
rounds = 4
[privacy]
batch-size = 20 # small
client-steps = 2
server-steps = 4
[[vendors]]
name = "a"
size = 400
[[vendors]]
name = "b"
size = 200
"""


def invoke(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


# ---- plan ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_plan_is_written_and_kept_in_the_file_with_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    path.write_text(PLANNED)
    picture = tmp_path / "plan.png"
    output = invoke("privacy", "plan", path, "--epsilon", "3", "--out", picture, "--write")
    assert "ε ≤ 3 at δ = 1e-05 over 4 rounds" in output and "comments" not in output
    text, federation = path.read_text(), load_federation(path)
    assert "# ours" in text and "batch-size = 20 # small" in text
    assert federation.privacy.private and federation.privacy.epsilon == 3.0
    assert federation.server_terms == 2, "four terms by turns of two"
    noises = [federation.mechanism(v, "client").noise_multiplier for v in "ab"]  # type: ignore[union-attr]
    assert noises[0] < noises[1], "fewer records need more noise"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["federation.toml", "plan.png"]
    with Image.open(picture) as image:
        assert image.format == "PNG" and image.width > 800


@pytest.mark.slow
def test_cap_that_ends_the_run_early_is_told(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    path.write_text(PLANNED)
    output = invoke("privacy", "plan", path, "--server-terms", "1")
    assert "serve 2 of 4 terms: the run ends then" in " ".join(output.split())
    shown = CliRunner().invoke(app, ["privacy", "plan", str(path), "--server-terms", "1", "--json"])
    told = json.loads(shown.stdout)
    assert "serve 2 of 4 terms" in " ".join(shown.stderr.split()), "and JSON alone on stdout"
    assert told["server-terms"] == 1 and told["vendors"].keys() == {"a", "b"}
    assert all(each["epsilon"] <= told["epsilon"] for each in told["vendors"].values())
    assert path.read_text() == PLANNED


@pytest.mark.slow
def test_size_of_simulated_vendors_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    federation = tiny_federation(tmp_path, ("a", "b"), privacy__batch_size=4)
    path.write_text(federation.to_toml())
    invoke("privacy", "plan", path, "--write", "--rounds", "2")
    assert sum(member.size or 0 for member in load_federation(path).vendors) == 96


def test_size_of_a_site_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    path.write_text(
        '[data]\nsource = "files"\n[[vendors]]\nname = "a"\npath = "x"\n'
        '[[vendors]]\nname = "b"\npath = "y"\nsize = 100\n'
    )
    with pytest.raises(ConfigurationError, match="no public size of a"):
        invoke("privacy", "plan", path)


@pytest.mark.parametrize("epsilon", ["0", "-1", "inf", "nan"])
def test_epsilon_that_is_none_is_refused(tmp_path: Path, epsilon: str) -> None:
    path = tmp_path / "federation.toml"
    path.write_text(PLANNED)
    with pytest.raises(PrivacyError, match="ε = "):
        invoke("privacy", "plan", path, "--epsilon", epsilon)


# ---- show and retire -----------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> SiteSettings:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "federation.toml").write_text(tiny_federation(tmp_path, ("a", "b")).to_toml())
    (folder / SITE_FILE).write_text('vendor = "a"\n')
    settings = load_site(folder)
    found_ledger(SiteOnDisk(folder, settings))
    return settings


def train(site: SiteSettings) -> str:
    """Reserve one round in each role on the site's data."""
    data = load_vendor_data(site.load_federation().data_plan(), "a").train
    ledger = site_ledger(site)
    name = ledger.enrol(manifest_of(data))
    for purpose in ("client", "server"):
        use = Use(name, purpose, Mechanism(2.0, 0.1, 10), "f" * 64, 1, 1)  # type: ignore[arg-type]
        assert isinstance(ledger.reserve(use, BUDGET), Reservation)
    return name


def test_site_that_has_spent_nothing_says_so(site: SiteSettings) -> None:
    assert "nothing was spent" in invoke("privacy", "show", site.state.parent)


def test_show_tells_what_was_spent_for_what_and_what_is_not_covered(site: SiteSettings) -> None:
    name = train(site)
    output = invoke("privacy", "show", site.state.parent)
    for text in (name[:12], "client", "server", "δ = 1e-05", "one record added", "Not covered"):
        assert text in output
    assert f"{site_ledger(site).spent(name, 1e-5):.3f}" in output
    assert "2 uses were begun and not ended" in output
    told = json.loads(invoke("privacy", "show", site.state.parent, "--json"))
    spent = told["data-sets"][name]
    assert spent["epsilon"] == pytest.approx(site_ledger(site).spent(name, 1e-5))
    assert [each["purpose"] for each in spent["uses"]] == ["client", "server"]
    assert all(0 < each["epsilon"] < spent["epsilon"] for each in spent["uses"])


def test_site_that_lost_its_ledger_goes_on_with_other_data_only(site: SiteSettings) -> None:
    name = train(site)
    shutil.rmtree(site_ledger(site).path.parent)
    with pytest.raises(PrivacyError, match="srflm privacy retire"):
        invoke("privacy", "show", site.state.parent)
    invoke("privacy", "retire", site.state.parent, "--yes")
    output = invoke("privacy", "show", site.state.parent)
    assert "∞" in output and "Given up" in output and name[:12] in output
