"""A peer is known by the key of its certificate in the federation file, not by the consortium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.edge.nginx import Edge
from deploy.identity.authority import load_consortium, sign_site_certificate
from deploy.identity.identity import install_certificate, make_identity
from deploy.identity.keys import public_line
from strategies.errors import ConfigurationError
from tests.support.edges import (
    MEMBERS,
    Pki,
    Sites,
    edge_of,
    needs_nginx,
    port_of,
    running,
    stand_in,
)


def pinned(pki: Pki, edge: Edge, **others: str) -> Edge:
    """Return the edge with the keys of all its peers' certificates, or with other keys."""
    keys = {name: public_line(pki.identity(name) / "site.key") for name in edge.peers} | others
    peers = {name: replace(peer, site_key=keys[name]) for name, peer in edge.peers.items()}
    return replace(edge, peers=peers)


@contextmanager
def both(pki: Pki, folder: Path, a: Edge, with_keys: bool = True, **others: str) -> Iterator[Sites]:
    """Run the edge ``a`` and b's edge beside it, which looks for a there."""
    with stand_in(a.identity) as superlink:
        a = replace(a, superlink_port=superlink.port)
        b = edge_of(pki, "b", folder, a=f"127.0.0.1:{port_of(a)}")
        b = pinned(pki, b, **others) if with_keys else b
        with running(a) as process, running(b):
            yield Sites(pki, superlink, a, b, process)


@pytest.fixture(scope="module")
def false_identity(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make keys in a's name, and let the holder of the consortium's key certify them."""
    folder = tmp_path_factory.mktemp("false-a")
    make_identity(folder, "a", MEMBERS)
    consortium = load_consortium(pki.folder / "consortium")
    request = (folder / "site.csr").read_bytes()
    certificate = sign_site_certificate(consortium, request, "a", ["127.0.0.1"])
    install_certificate(folder, certificate, consortium.pem)
    return folder


@needs_nginx
def test_peer_with_the_key_in_the_file_is_reached(pki: Pki, tmp_path: Path) -> None:
    with both(pki, tmp_path, pinned(pki, edge_of(pki, "a", tmp_path))) as sites:
        assert sites.through_both().status == 200
        assert len(sites.superlink.arrived) == 1


@needs_nginx
@pytest.mark.parametrize("shows", ["a certificate by the consortium", "one by its own key"])
def test_holder_of_the_consortiums_key_cannot_pose_as_a_server(
    pki: Pki, tmp_path: Path, false_identity: Path, shows: str
) -> None:
    false = replace(edge_of(pki, "a", tmp_path), identity=false_identity)
    false = pinned(pki, false) if shows == "one by its own key" else false
    with both(pki, tmp_path, false) as sites:
        assert sites.through_both().status == 502
        assert sites.superlink.arrived == []


@needs_nginx
def test_key_of_another_member_cannot_sign_for_this_one(
    pki: Pki, tmp_path: Path, false_identity: Path
) -> None:
    false = replace(pinned(pki, edge_of(pki, "a", tmp_path)), identity=false_identity)
    with both(pki, tmp_path, false, c=public_line(false_identity / "site.key")) as sites:
        assert sites.through_both().status == 502
        assert sites.superlink.arrived == []


@needs_nginx
def test_federation_without_these_keys_goes_by_the_consortiums_word(
    pki: Pki, tmp_path: Path, false_identity: Path
) -> None:
    false = replace(edge_of(pki, "a", tmp_path), identity=false_identity)
    with both(pki, tmp_path, false, with_keys=False) as sites:
        assert sites.through_both().status == 200, "the gap that the keys close"


def test_keys_of_some_peers_are_no_configuration(pki: Pki, tmp_path: Path) -> None:
    edge = pinned(pki, edge_of(pki, "a", tmp_path))
    with pytest.raises(ConfigurationError, match="all or none"):
        replace(edge, peers={**edge.peers, "b": replace(edge.peers["b"], site_key="")})
