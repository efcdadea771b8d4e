"""Ports and paths of a site: two sites on one machine never meet."""

from __future__ import annotations

import socket

import pytest

from deploy.site_layout import choose_ports, free_block, require_free
from srflm_flower.errors import ConfigurationError

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


def test_port_in_use_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        if number < 65_000:
            with pytest.raises(ConfigurationError, match="in use"):
                choose_ports("a", ROSTER, number)
        with pytest.raises(ConfigurationError, match="nothing can listen"):
            require_free(f"127.0.0.1:{number}")
