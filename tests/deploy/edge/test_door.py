"""The door between two edges: who may knock, and whose bell rings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.door.door import PATHS, Door
from deploy.processes.bell import Bell
from tests.support.edges import (
    Pki,
    Sites,
    call,
    edge_of,
    local,
    needs_nginx,
    network,
    port_of,
    running,
)
from tests.support.waiting import wait_for


def door_of(sites: Sites) -> Door:
    ways_out = {peer: each.outbound_port for peer, each in sites.b.peers.items()}
    return Door(ways_out, sites.pki.identity("b") / "loopback-ca.crt")


@needs_nginx
def test_knock_rings_the_bell_of_whoever_knocks(sites: Sites) -> None:
    bells = {name: Bell(sites.a.bells / name) for name in ("a", "b", "c")}
    before = {name: bell.last_rung() for name, bell in bells.items()}
    assert door_of(sites).knock(["a", "c"]) == {"a"}  # nobody is at c's address
    # nginx writes its log after the answer.
    assert wait_for(lambda: bells["b"].rung_since(before["b"]))
    assert not any(bells[name].rung_since(before[name]) for name in ("a", "c"))
    assert sites.superlink.arrived == []  # the edge answers itself


@needs_nginx
def test_question_whether_a_peer_is_there_rings_nothing(sites: Sites) -> None:
    bell = Bell(sites.a.bells / "b")
    before = bell.last_rung()
    assert door_of(sites).look_at(["a", "c"]) == {"a"}
    assert not bell.rung_since(before)


@needs_nginx
@pytest.mark.parametrize("who", [None, "d", "foreign-b"])
def test_nobody_else_can_knock(sites: Sites, who: str | None) -> None:
    before = sorted(sites.a.bells.iterdir())
    try:
        status = call(port_of(sites.a), network(sites.pki, who), PATHS["knock"]).status
    except OSError:  # the handshake fails
        status = 0
    assert status in (0, 400, 403)
    assert sorted(sites.a.bells.iterdir()) == before


@needs_nginx
@pytest.mark.parametrize("path", [PATHS["knock"] + "?x", "/v1/door/c", "/v1/door/../door/knock"])
def test_no_other_path_is_a_knock(sites: Sites, path: str) -> None:
    bell = Bell(sites.a.bells / "b")
    before = bell.last_rung()
    port = sites.b.peers["a"].outbound_port
    assert call(port, local(sites.pki, "b"), path).status == 404
    assert not bell.rung_since(before)


@needs_nginx
def test_site_that_is_not_there_does_not_answer(sites: Sites, tmp_path: Path) -> None:
    with running(edge_of(sites.pki, "b", tmp_path)) as alone:
        assert alone.poll() is None
    assert door_of(sites).look_at(["c"]) == frozenset()
    assert door_of(sites).knock([]) == frozenset()


@needs_nginx
def test_knocks_are_limited_like_all_calls(pki: Pki, tmp_path: Path) -> None:
    edge = replace(edge_of(pki, "a", tmp_path), rate=1, burst=5)
    with running(edge):
        statuses = [
            call(port_of(edge), network(pki, "b"), PATHS["knock"], method="GET").status
            for _ in range(30)
        ]
        assert set(statuses) == {204, 503}, "30 calls at a site that takes one a second"
        bell = edge.bells / "b"
        assert wait_for(lambda: bell.stat().st_size == statuses.count(204)), "a byte a ring"
