"""A server rings at the sites for which it has pushed a message."""

from __future__ import annotations

import copy
import threading
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from flwr.app import Message
from flwr.serverapp import Grid

from deploy.door.door import Door
from deploy.processes.bell import Bell
from deploy.serving import ringing
from deploy.serving.job import ServerJob
from deploy.serving.ringing import Ringing
from tests.support.deployed import DeployedFederation
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

NODES = {"a": 1, "b": 2, "c": 3}


class Pushed:
    """A grid that notes what is pushed."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def push_messages(self, messages: Collection[Message]) -> list[str]:
        self.messages += messages
        return [f"m{number}" for number, _ in enumerate(messages)]

    def get_node_ids(self) -> list[int]:
        return [1, 2, 3]


def messages_to(*nodes: int) -> list[Message]:
    headers = [SimpleNamespace(dst_node_id=node) for node in nodes]
    return [cast(Message, SimpleNamespace(metadata=header)) for header in headers]


def test_it_rings_after_the_messages_are_pushed_and_only_at_those_they_are_for() -> None:
    pushed = Pushed()
    rung: list[tuple[list[str], int]] = []
    done = threading.Event()

    def ring(vendors: Collection[str]) -> None:
        rung.append((list(vendors), len(pushed.messages)))
        done.set()

    grid = Ringing(cast(Grid, pushed), {1: "a", 2: "b", 3: "c"}, ring)
    assert list(grid.push_messages(iter(messages_to(3, 1, 9)))) == ["m0", "m1", "m2"]
    assert done.wait(60.0)
    assert rung == [(["a", "c"], 3)], "not node 9, which is no vendor's"
    assert grid.get_node_ids() == [1, 2, 3], "all else is the grid's"


def test_site_that_does_not_answer_its_door_holds_up_nobody() -> None:
    silent = threading.Event()
    grid = Ringing(cast(Grid, Pushed()), {1: "a"}, lambda _: silent.wait(60.0))
    try:
        assert list(grid.push_messages(messages_to(1))) == ["m0"]
        assert not silent.is_set()
    finally:
        silent.set()


def task() -> ServerJob:
    return ServerJob(name="t", kind="serve", registered=NODES)


def test_without_an_edge_nobody_is_rung(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, ("a", "b", "c")))
    grid = cast(Grid, Pushed())
    assert ringing.ringing(sites.site("a"), task(), grid) is grid


def test_own_supernode_is_rung_by_its_bell_and_the_others_by_a_knock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, ("a", "b", "c")))
    site = sites.site("a")
    bells = tmp_path / "bells"
    bells.mkdir()
    config = SimpleNamespace(
        vendor="a", bells=bells, ways_out={"b": 1, "c": 2}, root_certificate=tmp_path
    )
    monkeypatch.setattr(ringing, "load_config", lambda *_: config)
    knocked: list[list[str]] = []
    monkeypatch.setattr(Door, "knock", lambda self, peers: knocked.append(sorted(peers)))
    grid = ringing.ringing(site, task(), cast(Grid, Pushed()))
    grid.push_messages(messages_to(1, 3))
    wait_until(lambda: knocked, "nobody was rung")
    assert Bell(bells / "a").last_rung() > 0
    assert knocked == [["a", "c"]], "not b; a door knows no way to the own site"


def test_ring_that_fails_is_a_lost_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_threads(*_: object) -> frozenset[str]:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Door, "knock", no_threads)
    bell = Bell(tmp_path / "missing" / "a")
    ringing._ring("a", bell, Door({}, tmp_path), ["a", "b"])
    ringing._ring("b", bell, Door({}, tmp_path), ["a"])
    monkeypatch.setattr(threading.Thread, "start", no_threads)
    grid = Ringing(cast(Grid, Pushed()), {1: "a"}, lambda _: None)
    assert list(grid.push_messages(messages_to(1))) == ["m0"]


def test_copy_of_a_grid_that_rings_is_one() -> None:
    grid = Ringing(cast(Grid, Pushed()), {1: "a"}, lambda _: None)
    assert copy.copy(grid).get_node_ids() == [1, 2, 3]
