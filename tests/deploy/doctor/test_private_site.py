"""A site of a private federation: its ledger, its budget, its own limits."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.manifest import Manifest
from clients.privacy.ledger.policy import budget
from clients.privacy.ledger.rows import Use
from deploy.site.diagnosis import Diagnosis, Severity
from deploy.site.privacy_files import site_ledger
from deploy.site.settings import load_site
from tests.deploy.doctor.examined_site import ExaminedSite, flagged, make_sites, opened
from tests.support.edges import needs_nginx

pytestmark = needs_nginx

VENDORS = [{"name": name, "path": "/nowhere", "size": 90} for name in "abc"]
PRIVATE = {
    "privacy__unit": "record",
    "privacy__batch_size": 8,
    "privacy__client_steps": 2,
    "privacy__server_steps": 2,
    "privacy__client_noise": 3.0,
    "privacy__server_noise": 3.0,
    "privacy__delta": 1e-3,
    "privacy__epsilon": 4.0,
    "training__momentum": 0.0,
    "vendors": VENDORS,
}


@pytest.fixture(scope="session")
def private_sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of three sites of a private federation; nobody changes them."""
    return make_sites(tmp_path_factory.mktemp("private"), **PRIVATE)


@pytest.fixture
def private_site(
    private_sites: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ExaminedSite]:
    """Return a copy of a's site."""
    found = opened(shutil.copytree(private_sites, tmp_path / "sites"), monkeypatch)
    with found.open_until_then:
        yield found


def severities(found: Diagnosis) -> dict[str, Severity]:
    """Return the severity of each line about privacy."""
    return {e.code: e.severity for e in found.lines if e.code.startswith("privacy.")}


def spend(site: ExaminedSite, rounds: int) -> None:
    """Spend as so many rounds of training would, at less noise than agreed."""
    settings = load_site(site.folder)
    ledger, federation = site_ledger(settings), settings.load_federation()
    names = [f"{n:064x}" for n in range(90)]
    dataset = ledger.enrol(Manifest.of(names))
    limit = budget(federation.privacy, settings.privacy)
    for number in range(1, rounds + 1):
        mechanism = Mechanism(1.0, 8 / 90, 4)
        use = Use(dataset, "client", mechanism, federation.hash, number, number, "record")
        ledger.settle(ledger.reserve(use, limit))  # type: ignore[arg-type]


def test_healthy_private_site_has_nothing_but_ok(private_site: ExaminedSite) -> None:
    found = private_site.examine()
    assert flagged(found) == set(), found.of("warning") + found.of("error")
    assert set(severities(found)) == {"privacy.policy", "privacy.ledger", "privacy.budget"}
    (network,) = (line for line in found.lines if line.code == "model.network")
    assert "ready for differential privacy" in network.finding


def test_plan_beyond_the_budget_is_a_warning(private_site: ExaminedSite) -> None:
    private_site.edit("federation.toml", "rounds = 3", "rounds = 3000")
    found = private_site.examine()
    assert flagged(found) == {("privacy.budget", "warning")}


def test_budget_that_is_spent_is_an_error_that_lets_the_site_start(
    private_site: ExaminedSite,
) -> None:
    spend(private_site, 6)
    path = private_site.folder / "site.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[privacy]", "[privacy]\nmax-epsilon = 0.5"), encoding="utf-8")
    found = private_site.examine()
    assert flagged(found) == {("privacy.budget", "error")}
    (line,) = found.of("error")
    assert "not one more round is left" in line.finding


def test_damaged_ledger_is_an_error(private_site: ExaminedSite) -> None:
    spend(private_site, 1)
    ledger = load_site(private_site.folder).privacy.ledger
    assert ledger is not None
    ledger.write_bytes(b"damaged")
    assert flagged(private_site.examine()) == {("privacy.ledger", "error")}


@pytest.mark.parametrize(
    ("limit", "severity"),
    [('roles = ["client"]', "warning"), ("roles = []", "error"), ("min-noise = 9.0", "error")],
)
def test_own_limits_that_refuse_the_plan_are_told(
    limit: str, severity: Severity, private_site: ExaminedSite
) -> None:
    path = private_site.folder / "site.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[privacy]", f"[privacy]\n{limit}"), encoding="utf-8")
    assert flagged(private_site.examine()) == {("privacy.policy", severity)}


def test_site_that_requires_privacy_does_not_fit_a_federation_without(site: ExaminedSite) -> None:
    site.edit("site.toml", "[privacy]", "[privacy]\nrequired = true")
    assert flagged(site.examine()) == {("privacy.policy", "error")}
