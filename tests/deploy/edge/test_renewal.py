"""A running site shows a renewed certificate by itself, and none that is no certificate of it."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from deploy.edge.nginx import Edge, find_nginx, nginx_command, write_configuration
from deploy.edge.ports import choose_ports, free_block
from deploy.edge.process import show_installed
from deploy.identity.authority import load_consortium, sign_site_certificate
from deploy.identity.identity import install_certificate
from deploy.identity.keys import read_ec_key
from deploy.identity.pins import authority_for, shown_certificate
from deploy.membership.consortium import assemble
from deploy.membership.joining import join, new_site
from deploy.operating.programs import SitePrograms
from deploy.processes.rereading import Rereading
from deploy.processes.supervisor import python_module
from deploy.site.deployed_site import site_anew
from deploy.site.layout import Layout
from srflm_flower.federation.loading import built_in_federation, with_changes
from tests.deploy.supervised import supervised
from tests.support.edges import needs_nginx, port_of
from tests.support.waiting import wait_until

ROSTER = ("a", "b")


@dataclass(frozen=True)
class Pair:
    """Two sites that have joined; a's edge is written."""

    folder: Path
    edge: Edge

    @property
    def identity(self) -> Path:
        """The keys and certificates of a."""
        return self.folder / "a" / "identity"

    def renew(self, days: int) -> x509.Certificate:
        """Install a certificate of a that is valid for so many days, as the consortium does."""
        consortium = load_consortium(self.folder / "consortium")
        request = (self.identity / "site.csr").read_bytes()
        signed = sign_site_certificate(consortium, request, "a", ["127.0.0.1"], days)
        authority = (self.identity / "consortium-ca.crt").read_bytes()
        install_certificate(self.identity, signed, authority)
        return x509.load_pem_x509_certificate(signed)

    def served(self) -> x509.Certificate | None:
        """Return the certificate that the edge shows b now; None as long as it does not answer."""
        key = read_ec_key(self.identity / "site.key").public_key()
        tls = ssl.create_default_context(cadata=authority_for("a", key).decode())
        b = self.folder / "b" / "identity"
        (self.folder / "b.crt").write_bytes(shown_certificate(b, "b"))
        tls.load_cert_chain(self.folder / "b.crt", b / "site.key")
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", port_of(self.edge)), timeout=5) as plain,
            tls.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        ):
            return x509.load_der_x509_certificate(secured.getpeercert(True) or b"")
        return None


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    first = free_block(len(ROSTER))
    addresses = {vendor: f"127.0.0.1:{first + n}" for n, vendor in enumerate(ROSTER)}
    vendors = [{"name": vendor} for vendor in ROSTER]
    base = with_changes(built_in_federation(2), vendors=vendors)
    cards = [new_site(tmp_path / v, v, ROSTER, addresses[v], addresses[v]) for v in ROSTER]
    for vendor, answer in assemble(tmp_path / "consortium", base, cards).items():
        join(tmp_path / vendor, answer)
    site = site_anew(tmp_path / "a")
    edge = SitePrograms(site, Layout.of(site.settings), choose_ports("a", ROSTER)).edge()
    assert edge.pinned
    write_configuration(edge)
    yield Pair(tmp_path, edge)


@needs_nginx
def test_running_edge_shows_a_renewed_certificate_and_no_other_file(pair: Pair) -> None:
    command = nginx_command(find_nginx(), pair.edge.prefix)
    words = [str(pair.edge.prefix), str(pair.identity), "a", *command]
    programs = {"edge": python_module("deploy.edge.process", *words)}
    rereading = Rereading(program="edge", file=pair.identity / "site.crt")
    run = pair.folder / "run"
    run.mkdir()
    with supervised(run, programs, {}, rereading=rereading):
        wait_until(pair.served, "the edge does not answer")
        before = pair.served()
        new = pair.renew(days=9)

        def shows_the_new_one() -> bool:
            found = pair.served()
            return found is not None and found.not_valid_after_utc == new.not_valid_after_utc

        wait_until(shows_the_new_one, "the old certificate is shown")
        assert before is not None and before.not_valid_after_utc != new.not_valid_after_utc
        (pair.identity / "site.crt").write_text("not a certificate")
        wait_until(lambda: replaced(run) == 2, "nobody has looked at the file")
        wait_until(shows_the_new_one, "the edge is gone")


def replaced(run: Path) -> int:
    """Return how often the supervisor has found another file."""
    lines = (run / "logs" / "supervisor.jsonl").read_text().splitlines()
    return sum(json.loads(line)["event"] == "file-replaced" for line in lines)


def test_certificate_is_made_anew_only_for_another_installed_one(
    pair: Pair, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = pair.edge.shown
    first = shown.read_bytes()
    show_installed(pair.edge.prefix, pair.identity, "a")
    assert shown.read_bytes() == first, "nothing was installed"
    (pair.identity / "site.crt").write_text("not a certificate")
    show_installed(pair.edge.prefix, pair.identity, "a")
    assert shown.read_bytes() == first and "is not shown" in capfd.readouterr().err
    (pair.identity / "site.crt").unlink()
    show_installed(pair.edge.prefix, pair.identity, "a")
    assert shown.read_bytes() == first, "the installed one is gone"
    new = pair.renew(days=9)
    show_installed(pair.edge.prefix, pair.identity, "a")
    made = x509.load_pem_x509_certificate(shown.read_bytes())
    assert made.not_valid_after_utc == new.not_valid_after_utc
    shown.unlink()
    show_installed(pair.edge.prefix, pair.identity, "a")
    assert not shown.exists(), "a federation without site keys shows the installed one"
