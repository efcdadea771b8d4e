"""Two edges that are shared by the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from deploy.identity.authority import create_consortium, sign_site_certificate
from deploy.identity.identity import install_certificate, make_identity
from tests.support.edges import MEMBERS, Pki, Sites, edge_of, port_of, running, stand_in


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("edge-pki")
    public = {}
    ours = create_consortium(folder / "consortium", "ours")
    theirs = create_consortium(folder / "other", "theirs")
    for name, vendor, authority in [
        *((each, each, ours) for each in (*MEMBERS, "d")),
        ("foreign-b", "b", theirs),
    ]:
        public[name] = make_identity(folder / name, vendor, MEMBERS)
        csr = (folder / name / "site.csr").read_bytes()
        pem = sign_site_certificate(authority, csr, vendor, ["127.0.0.1"])
        install_certificate(folder / name, pem, authority.pem)
    return Pki(folder, public)


@pytest.fixture(scope="module")
def shared(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    prefix = tmp_path_factory.mktemp("edge")
    with stand_in(pki.identity("a")) as superlink, ExitStack() as stack:
        a = edge_of(pki, "a", prefix, superlink.port)
        a = replace(a, rate=100000, burst=10000)  # so that these tests do not disturb each other
        a_process = stack.enter_context(running(a))
        b = edge_of(pki, "b", prefix, a=f"127.0.0.1:{port_of(a)}")
        stack.enter_context(running(b))
        yield Sites(pki, superlink, a, b, a_process)


@pytest.fixture
def sites(shared: Sites) -> Sites:
    shared.superlink.arrived.clear()
    return shared
