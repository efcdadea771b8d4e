"""Mistakes of those who run a site: each is named, with what was expected and how to mend it.

The commands are run as a user does; exit code 2 is for wrong input, 1 for what cannot go on.
"""

from __future__ import annotations

import re
import shutil
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy import cli
from deploy.edge import nginx as edge
from deploy.edge.ports import free_block
from deploy.identity.authority import create_consortium, sign_site_certificate
from deploy.operating.local_consortium import make_local_sites
from deploy.site.deployed_site import site_at
from srflm_flower.federation.loading import load_federation
from srflm_flower.site.ledger import TermLedger
from strategies.errors import (
    ConfigurationError,
    DeploymentError,
    FederationStopped,
    IdentityError,
    LedgerError,
    MessageRefused,
)
from tests.support.commands import SRFLM, run
from tests.support.deployed import DeployedFederation
from tests.support.sites import processes_about
from tests.support.tiny import tiny_federation

pytestmark = [pytest.mark.slow, pytest.mark.long]
VENDORS = ("a", "b", "c")
CONFIGURATION = ConfigurationError.codes[0]
LEDGER = LedgerError.codes[0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three sites that have never been up."""
    folder = tmp_path_factory.mktemp("bad-input")
    first = free_block(len(VENDORS))
    addresses = {vendor: f"127.0.0.1:{first + n}" for n, vendor in enumerate(VENDORS)}
    make_local_sites(folder, tiny_federation(folder, VENDORS), addresses)
    return folder


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Path:
    """Return the folder of a site that may be spoilt."""
    shutil.copytree(made / "sites" / "a", tmp_path / "a")
    return tmp_path / "a"


def change(file: Path, pattern: str, replacement: str, count: int = 1) -> None:
    """Replace the first matches in a file, which must be there."""
    text, found = re.subn(pattern, replacement, file.read_text(), count=count, flags=re.M)
    assert found == count, f"{pattern} in {file}"
    file.write_text(text)


def fails(site: Path, code: str, status: int, *command: str) -> str:
    """Run a command, which must fail with three lines under a code; return them as one."""
    ended = run([SRFLM, *command], cwd=site)
    assert ended.returncode == status, ended.stdout + ended.stderr
    return explained(ended.stderr, code)


def explained(stderr: str, code: str) -> str:
    lines = stderr.splitlines()
    assert lines[0] == f"Error {code}", stderr
    assert [line.split(":")[0] for line in lines if re.match(r"  \w", line)] == [
        "  found",
        "  expected",
        "  to mend it",
    ], stderr
    return " ".join(stderr.split())


def fails_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *command: str
) -> str:
    """Run a command in this process, which must find a wrong configuration."""
    monkeypatch.setattr(sys, "argv", ["srflm", *command])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    return explained(capsys.readouterr().err, CONFIGURATION)


def up_fails(site: Path, code: str = CONFIGURATION, status: int = 2) -> str:
    """Run `srflm up`, which must fail at once and leave no process behind."""
    text = fails(site, code, status, "up", "--detach")
    assert processes_about(site) == []
    return text


# ---- the federation file -----------------------------------------------------------------------


def test_two_vendors_with_one_name(site: Path) -> None:
    change(site / "federation.toml", '^name = "b"$', 'name = "c"')
    assert "vendors: found c more than once" in up_fails(site)


@pytest.mark.parametrize("kind", ["signing-key", "address"])
def test_two_vendors_with_one_key_or_address(site: Path, kind: str) -> None:
    file = site / "federation.toml"
    values = re.findall(f'^{kind} = "(.*)"$', file.read_text(), flags=re.M)
    change(file, re.escape(values[1]), values[0])
    assert f"vendors.b.{kind}: found the same as that of a" in up_fails(site)


def test_two_vendors_with_one_node_key(site: Path) -> None:
    file = site / "federation.toml"
    keys = re.findall(r'^\w+ = "(ecdsa-[^"]*)"', file.read_text(), flags=re.M)
    change(file, re.escape(keys[4]), keys[0])
    assert "vendors.b.node-keys: found the same as that of a" in up_fails(site)


def test_other_version_of_the_package(site: Path) -> None:
    change(site / "federation.toml", '^bundle = ".*"$', f'bundle = "{"0" * 64}"')
    text = up_fails(site)
    assert f"with the bundle {'0' * 64}" in text
    assert re.search(
        r"srflm-flower \S+ with Flower \S+, whose code has the bundle [0-9a-f]{64}", text
    )
    assert "`srflm --version`" in text and "install the version that they use" in text


def test_sites_with_different_federation_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others refuse; they say so in their status, and the site that orders a run hears why."""
    monkeypatch.setattr("deploy.serving.term_server.ORDER_PATIENCE", 0.1)
    sites = DeployedFederation(tmp_path, tiny_federation(tmp_path, VENDORS))
    change(sites.folders["c"] / "federation.toml", "^learning-rate = .*$", "learning-rate = 0.01")
    outcome = sites.order("c", rounds=1)
    assert (outcome.result, outcome.code) == ("failed", FederationStopped.NO_QUORUM)
    assert f"'a': '{MessageRefused.FEDERATION}'" in outcome.text
    for vendor in ("a", "b"):
        shown = run([SRFLM, "status", sites.folders[vendor]], cwd=tmp_path)
        assert shown.returncode == 0, shown.stderr
        assert f"refused query.order of c: {MessageRefused.FEDERATION}" in shown.stdout
        assert sites.site(vendor).state.ledger.order() is None


# ---- the site ----------------------------------------------------------------------------------


def test_port_that_is_in_use(site: Path) -> None:
    listen = site_at(site).settings.listen
    host, port = listen.rsplit(":", 1)
    with socket.create_server((host, int(port))):
        text = up_fails(site)
    assert f"listen = '{listen}', on which nothing can listen (Address already in use" in text
    assert "change `listen` in site.toml" in text


def test_certificate_that_has_expired(site: Path, tmp_path: Path) -> None:
    identity, then = site / "identity", datetime.now(UTC) - timedelta(days=1000)
    consortium = create_consortium(tmp_path / "consortium", "tiny", then)
    request = (identity / "site.csr").read_bytes()
    certificate = sign_site_certificate(consortium, request, "a", now=then)
    (identity / "site.crt").write_bytes(certificate)
    (identity / "consortium-ca.crt").write_bytes(consortium.pem)
    text = up_fails(site, IdentityError.CERTIFICATE, 1)
    assert "site.crt" in text and "have the consortium sign site.csr again" in text


def test_identity_of_another_site(site: Path, made: Path) -> None:
    for name in ("site.key", "site.crt", "site.csr"):
        shutil.copy(made / "sites" / "b" / "identity" / name, site / "identity" / name)
    assert "CN=b" in up_fails(site, IdentityError.CERTIFICATE, 1)


def test_state_of_another_federation(site: Path) -> None:
    ledger = site / "state" / "ledger.sqlite"
    ledger.unlink()
    TermLedger(ledger, "0" * 64).set_fact("boots", "1")
    text = up_fails(site, LEDGER, 1)
    assert "another federation" in text


def test_no_nginx(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(edge, "NGINX_FOLDERS", ())
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    text = fails_here(monkeypatch, capsys, "up", "--detach", str(site))
    assert "no program nginx" in text and "sudo apt-get install nginx-light" in text


# ---- up and down -------------------------------------------------------------------------------


def test_site_that_is_not_up(site: Path) -> None:
    text = fails(site, DeploymentError.NOT_UP, 1, "run", "--rounds", "1")
    assert f"srflm up {site}" in text
    down = run([SRFLM, "down"], cwd=site)
    assert (down.returncode, down.stdout) == (0, "It was not up.\n")
    assert "a (down)" in run([SRFLM, "status"], cwd=site).stdout


@pytest.mark.parametrize("command", ["up", "down", "status", "run", "stop", "verify"])
def test_folder_without_a_site(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = fails_here(monkeypatch, capsys, command, str(tmp_path))
    assert f"{tmp_path / 'site.toml'} cannot be read" in text


def test_up_twice_and_a_peer_whose_address_does_not_resolve(site: Path) -> None:
    file = site / "federation.toml"
    addresses = re.findall('^address = "(.*)"$', file.read_text(), flags=re.M)
    change(file, re.escape(addresses[2]), "nowhere.invalid:8443")
    # As if the members had agreed on this address.
    (site / "identity" / "federation").write_text(load_federation(file).hash)
    try:
        first = run([SRFLM, "up", "--detach"], cwd=site)
        assert first.returncode == 0, first.stdout + first.stderr
        warning = "peer.name c: nowhere.invalid:8443: the name does not resolve"
        assert warning in first.stdout and "Up (process" in first.stdout
        text = fails(site, DeploymentError.UP, 1, "up", "--detach")
        assert "the site of a is up already (process " in text and "srflm down" in text
        assert "a (up)" in run([SRFLM, "status"], cwd=site).stdout, "the first one lives on"
    finally:
        assert run([SRFLM, "down"], cwd=site).stdout == "Down.\n"
    assert processes_about(site) == []
