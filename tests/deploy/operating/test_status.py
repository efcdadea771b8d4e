"""``srflm status`` warns of certificates that expire, and what it advises renews them."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from deploy.cli import app
from deploy.cli.status import show_status
from deploy.identity.authority import load_consortium, sign_site_certificate
from deploy.identity.checks import HOW_TO_RENEW
from deploy.identity.identity import install_certificate
from deploy.membership.consortium import assemble
from deploy.membership.joining import MEMBERSHIP, join, new_site
from deploy.operating.status import SiteStatus, expiring, site_status
from deploy.site.deployed_site import site_at
from srflm_flower.federation.loading import built_in_federation, load_federation

ROSTER = ("aster", "borealis")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the joined sites of the roster, and their consortium."""
    files = [
        new_site(tmp_path / vendor, vendor, ROSTER, f"127.0.0.1:{port}", f"127.0.0.1:{port}")
        for port, vendor in enumerate(ROSTER, start=9443)
    ]
    answers = assemble(tmp_path / "consortium", built_in_federation(2), files)
    for vendor, answer in answers.items():
        join(tmp_path / vendor, answer)
    return tmp_path


def expire_in(folder: Path, days: int) -> None:
    """Give aster a certificate that lasts for so many days."""
    consortium, identity = load_consortium(folder / "consortium"), folder / "aster" / "identity"
    request = (identity / "site.csr").read_bytes()
    short = sign_site_certificate(consortium, request, "aster", days=days)
    install_certificate(identity, short, consortium.pem)


def shown(site: Path, *options: str) -> str:
    runner = CliRunner(env={"COLUMNS": "400"})
    result = runner.invoke(app, ["status", str(site), *options], catch_exceptions=False)
    assert result.exit_code == 0
    return " ".join(result.output.split())


def test_certificate_with_years_to_go_is_not_mentioned(folder: Path) -> None:
    expire_in(folder, 61)
    assert "expire" not in shown(folder / "aster")
    assert json.loads(shown(folder / "aster", "--json"))["expiring"] == []


def test_certificate_that_expires_soon_is_told_and_the_advice_renews_it(folder: Path) -> None:
    expire_in(folder, 20)
    text = shown(folder / "aster")
    found = SiteStatus.model_validate_json(shown(folder / "aster", "--json"))
    (expiry,) = found.expiring
    assert expiry.certificate == "site.crt"
    assert timedelta(days=19) < expiry.until - datetime.now(UTC) <= timedelta(days=20)
    assert re.search(f"expires on {expiry.until:%Y-%m-%d}, in (19|20) days", text)
    assert expiry.how_to_renew in text and "srflm site join" in text

    before = load_federation(folder / "aster" / "federation.toml")
    files = [folder / vendor / MEMBERSHIP for vendor in ROSTER]
    answers = assemble(folder / "consortium", before, files)
    assert join(folder / "aster", answers["aster"]).hash == before.hash
    assert "expire" not in shown(folder / "aster")


def test_certificate_that_has_expired_is_told_as_such(folder: Path) -> None:
    until = load_consortium(folder / "consortium").certificate.not_valid_after_utc
    found = expiring(folder / "aster" / "identity", until + timedelta(days=1))
    assert {each.certificate for each in found} == set(HOW_TO_RENEW)
    assert [each.until for each in found] == sorted(each.until for each in found)
    past = found[0].model_copy(update={"until": datetime(2020, 5, 17, tzinfo=UTC)})
    status = site_status(site_at(folder / "aster")).model_copy(update={"expiring": (past,)})
    console = Console(width=300, record=True, file=io.StringIO())
    show_status(status, console)
    assert "expired on 2020-05-17; to renew it: " in console.export_text()


def test_certificate_that_cannot_be_read_does_not_hide_the_status(folder: Path) -> None:
    (folder / "aster" / "identity" / "site.crt").write_bytes(b"damaged")
    assert "aster (down)" in shown(folder / "aster")
