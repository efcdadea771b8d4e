"""A certificate whose key was stolen opens nothing any more once the next edition holds."""

from __future__ import annotations

import shutil
import ssl
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from deploy.edge.nginx import Edge, flower_key_header, write_configuration
from deploy.edge.ports import choose_ports, free_block
from deploy.identity.authority import load_consortium, sign_site_certificate
from deploy.identity.certificates import authority_of, end_entity, issue
from deploy.identity.keys import read_ec_key
from deploy.identity.pins import FROM, UNTIL, authority_for, authority_name, shown_certificate
from deploy.membership.consortium import assemble, assemble_change
from deploy.membership.joining import join, new_site
from deploy.operating.programs import SitePrograms
from deploy.site.deployed_site import site_anew
from deploy.site.layout import Layout
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes
from tests.support.edges import PULL, call, needs_nginx, port_of, running, stand_in

ROSTER = ("a", "b", "c")


@dataclass(frozen=True)
class Stolen:
    """Three sites; somebody has a copy of all of b's identity, and b has a new certificate."""

    folder: Path
    old: Federation
    new: Federation

    def edge_of_a(self, federation: Federation, superlink: int = 1) -> Edge:
        """Return a's edge as it is with an edition of the federation file."""
        (self.folder / "a" / "federation.toml").write_text(federation.to_toml())
        site = site_anew(self.folder / "a")
        ports = replace(choose_ports("a", ROSTER), superlink=superlink)
        return SitePrograms(site, Layout.of(site.settings), ports).edge()

    def call(self, edge: Edge, identity: str, shown: str | None = None) -> int:
        """Call a's edge as b does, with an ``identity``; return the status."""
        folder, name = self.folder / identity, shown or "shown.crt"
        if shown is None:
            (folder / name).write_bytes(shown_certificate(folder, "b"))
        key = read_ec_key(self.folder / "a" / "identity" / "site.key").public_key()
        tls = ssl.create_default_context(cadata=authority_for("a", key).decode())
        tls.load_cert_chain(folder / name, folder / "site.key")
        node_key = (self.folder / "b" / "identity" / "node-a.pub").read_text()
        return call(
            port_of(edge), tls, PULL, {"flwr-public-key": flower_key_header(node_key)}
        ).status


@pytest.fixture(scope="module")
def stolen(tmp_path_factory: pytest.TempPathFactory) -> Stolen:
    folder = tmp_path_factory.mktemp("stolen")
    first = free_block(len(ROSTER))
    addresses = {vendor: f"127.0.0.1:{first + n}" for n, vendor in enumerate(ROSTER)}

    def membership(vendor: str) -> Path:
        return new_site(folder / vendor, vendor, ROSTER, addresses[vendor], addresses[vendor])

    vendors = [{"name": vendor} for vendor in ROSTER]
    base = with_changes(built_in_federation(3), vendors=vendors)
    answers = assemble(folder / "consortium", base, [membership(v) for v in ROSTER])
    for vendor in ROSTER:
        join(folder / vendor, answers[vendor])
    old = load_federation(folder / "a" / "federation.toml")
    shutil.copytree(folder / "b" / "identity", folder / "thief")
    # As docs/how-to/joins-and-leaves.md says, but with the node keys of before.
    for name in ("site.key", "site.csr", "site.crt"):
        (folder / "b" / "identity" / name).unlink()
    answers = assemble_change(folder / "consortium", old, [membership("b")])
    new = join(folder / "b", answers["b"])
    shutil.copytree(folder / "b" / "identity", folder / "renewed")
    return Stolen(folder, old, new)


def authorities(edge: Edge) -> list[x509.Certificate]:
    write_configuration(edge)
    return x509.load_pem_x509_certificates(edge.authorities.read_bytes())


def signs(authority: x509.Certificate, certificate: bytes) -> bool:
    try:
        x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(authority)
    except (ValueError, InvalidSignature):
        return False
    return True


def test_next_edition_has_no_authority_for_the_old_key(stolen: Stolen) -> None:
    shown = {name: shown_certificate(stolen.folder / name, "b") for name in ("thief", "renewed")}
    for federation, trusted in ((stolen.old, "thief"), (stolen.new, "renewed")):
        edge = stolen.edge_of_a(federation)
        for name, certificate in shown.items():
            fits = [signs(authority, certificate) for authority in authorities(edge)]
            assert any(fits) == (name == trusted)
            (towards_b,) = x509.load_pem_x509_certificates(edge.authority("b").read_bytes())
            assert signs(towards_b, certificate) == (name == trusted)


@needs_nginx
def test_thief_comes_in_until_the_next_edition_and_not_later(stolen: Stolen) -> None:
    """The thief has b's node keys, too, and these are the same in both editions."""
    with stand_in(stolen.folder / "a" / "identity") as superlink:
        edge = stolen.edge_of_a(stolen.old, superlink.port)
        with running(edge):
            assert stolen.call(edge, "thief") == 200, "nobody knows yet"
            assert stolen.call(edge, "renewed") == 400, "it waits for the edition"
        superlink.arrived.clear()
        edge = stolen.edge_of_a(stolen.new, superlink.port)
        with running(edge):
            assert stolen.call(edge, "thief") == 400
            assert stolen.call(edge, "thief", "site.crt") == 400, "the consortium's word"
            assert superlink.arrived == []
            assert stolen.call(edge, "renewed") == 200


@needs_nginx
def test_member_or_holder_of_the_consortiums_key_cannot_come_in_as_another(stolen: Stolen) -> None:
    folder = stolen.folder
    own = folder / "c-as-b"
    shutil.copytree(folder / "c" / "identity", own)
    (own / "in-b's-name.crt").write_bytes(shown_certificate(own, "b"))
    # Its own key is an authority at a, though for itself only.
    key = read_ec_key(own / "site.key")
    authority = authority_of(authority_name("c"), key.public_key(), key, FROM, UNTIL)
    certificate = end_entity("b", key.public_key(), [x509.DNSName("b")], client=True)
    (own / "by-c.crt").write_bytes(issue(authority, key, certificate, datetime.now(UTC), 9))
    consortium = load_consortium(folder / "consortium")
    request = (folder / "renewed" / "site.csr").read_bytes()
    by_consortium = sign_site_certificate(consortium, request, "b", ["127.0.0.1"])
    (folder / "renewed" / "by-consortium.crt").write_bytes(by_consortium)
    with stand_in(folder / "a" / "identity") as superlink:
        edge = stolen.edge_of_a(stolen.new, superlink.port)
        with running(edge):
            assert stolen.call(edge, "c-as-b", "in-b's-name.crt") == 400, "not by b's key"
            assert stolen.call(edge, "c-as-b", "by-c.crt") == 403, "c may sign for c only"
            assert stolen.call(edge, "renewed", "by-consortium.crt") == 400
        assert superlink.arrived == []
