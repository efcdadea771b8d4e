"""Ports of a site: two sites on one machine never meet."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from pathlib import Path

import pytest

from deploy.edge import ports as edge_ports
from deploy.edge.ports import choose_ports, free_block, require_free, why_not_free
from deploy.processes.port_claims import CLAIM_SECONDS, claim
from strategies.errors import ConfigurationError

ROSTER = ("a", "b", "c")


def test_every_program_has_a_port_of_its_own() -> None:
    ports = choose_ports("b", ROSTER)
    numbers = [ports.superlink, *ports.supernode.values(), *ports.outbound.values()]
    assert len(set(numbers)) == len(numbers) == 6
    assert set(ports.supernode) == {"a", "b", "c"}
    assert set(ports.outbound) == {"a", "c"}, "its own SuperLink needs no way out"


def test_ports_start_where_the_site_says() -> None:
    first = free_block(6)
    assert choose_ports("a", ROSTER, first).superlink == first


def test_ports_that_were_just_chosen_are_not_chosen_again(tmp_path: Path) -> None:
    assert claim(range(7000, 7006), tmp_path)
    assert not claim(range(7005, 7010), tmp_path)
    assert claim(range(7006, 7010), tmp_path), "those that did not fit were given back"
    old = time.time() - CLAIM_SECONDS - 1
    for port in range(7000, 7006):
        os.utime(tmp_path / str(port), (old, old))
    assert claim(range(7000, 7006), tmp_path), "by now the programs listen, or never will"


def test_many_sites_that_start_at_once_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(edge_ports, "LAST_PORT", edge_ports.FIRST_PORT + 400)
    chosen: list[int] = []
    for _ in range(20):
        ports = choose_ports("b", ROSTER)
        chosen += [ports.superlink, *ports.supernode.values(), *ports.outbound.values()]
    assert len(set(chosen)) == len(chosen)


def test_address_that_can_be_listened_on_is_free_in_either_family() -> None:
    for host in ("127.0.0.1", "[::1]"):
        family = socket.AF_INET6 if "[" in host else socket.AF_INET
        try:
            probe = socket.create_server((host.strip("[]"), 0), family=family)
        except OSError:  # a machine without IPv6
            continue
        with probe:
            address = f"{host}:{probe.getsockname()[1]}"
            assert "in use" in str(why_not_free(address))
        assert why_not_free(address) is None


def test_port_that_is_taken_by_ipv4_is_not_free_for_both() -> None:
    try:
        socket.create_server(("::", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("a machine without IPv6")
    with socket.create_server(("0.0.0.0", 0)) as probe:
        port = probe.getsockname()[1]
        assert "in use" in str(why_not_free(f"[::]:{port}"))
    assert why_not_free(f"[::]:{port}") is None


@pytest.mark.parametrize("address", ["192.0.2.1:8443", "localhost:8443", "8443", "x:y", ""])
def test_address_that_cannot_be_listened_on_has_a_reason(address: str) -> None:
    assert why_not_free(address)


def test_port_in_use_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        if number < 65_000:
            with pytest.raises(ConfigurationError, match="in use"):
                choose_ports("a", ROSTER, number)
        with pytest.raises(ConfigurationError, match="nothing can listen"):
            require_free(f"127.0.0.1:{number}")
