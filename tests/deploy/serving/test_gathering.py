"""Whom a ServerApp waits for, whom it leaves out, and when it needs no round of questions."""

from __future__ import annotations

from typing import Any, cast

from flwr.serverapp import Grid

from deploy.serving.gathering import GATHER_SECONDS, GRACE_SECONDS, gathered, nodes_present
from deploy.serving.job import ServerJob

NODES = {"a": 1, "b": 2, "c": 3}


class Coming:
    """A grid whose nodes come at their times, in seconds."""

    def __init__(self, **times: float) -> None:
        self.times, self.now = times, 0.0

    def get_node_ids(self) -> list[int]:
        return [NODES[vendor] for vendor, time in self.times.items() if time <= self.now]

    def push_messages(self, messages: list[str]) -> list[str]:
        return messages

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def gather(self, **task: Any) -> Grid:
        job = ServerJob(name="t", kind="serve", registered=NODES, **task)
        return gathered(job, cast(Grid, self), lambda: self.now, self.sleep)


def test_those_that_were_asked_are_waited_for_and_nobody_else() -> None:
    coming = Coming(a=0.0, b=1.0, c=9.0)
    assert list(coming.gather(expected=("a", "b")).get_node_ids()) == [1, 2]
    assert 1.0 <= coming.now < 1.2


def test_one_that_does_not_come_costs_some_seconds_at_most() -> None:
    coming = Coming(a=0.0, b=0.0)
    coming.gather(expected=("a", "b", "c"))
    assert GRACE_SECONDS <= coming.now < GRACE_SECONDS + 0.2


def test_sites_that_must_wake_first_are_waited_for() -> None:
    coming = Coming(a=9.0, b=10.0, c=19.0)
    assert list(coming.gather(expected=("a", "b", "c")).get_node_ids()) == [1, 2, 3]
    assert coming.now < 19.2


def test_slow_site_has_as_long_again_as_most_took() -> None:
    coming = Coming(a=9.0, b=10.0, c=60.0)
    assert list(coming.gather(expected=("a", "b", "c")).get_node_ids()) == [1, 2]
    assert 20.0 <= coming.now < 20.4


def test_sites_of_which_most_do_not_come_cost_half_a_minute_at_most() -> None:
    coming = Coming(a=0.0)
    coming.gather(expected=("a", "b", "c"))
    assert GATHER_SECONDS <= coming.now < GATHER_SECONDS + 0.2


def test_nobody_is_waited_for_without_need() -> None:
    coming = Coming(a=0.0)
    coming.gather()
    assert coming.now == 0.0


def test_those_that_are_gone_are_asked_nothing_though_flower_takes_them_for_online() -> None:
    grid = Coming(a=0.0, b=0.0, c=0.0).gather(expected=("a", "b"), gone=("c",))
    assert list(grid.get_node_ids()) == [1, 2]
    assert list(grid.push_messages(cast(Any, ["m"]))) == ["m"]


def test_opening_is_needed_unless_all_but_the_gone_are_there() -> None:
    def found(coming: Coming, **task: Any) -> dict[str, int]:
        job = ServerJob(name="t", kind="serve", registered=NODES, **task)
        return nodes_present(job, cast(Grid, coming), tuple(NODES))

    everyone = Coming(a=0.0, b=0.0, c=0.0)
    assert found(everyone, expected=("a", "b", "c")) == NODES
    assert found(Coming(a=0.0, b=0.0), expected=("a", "b", "c")) == {}
    assert found(Coming(a=0.0, b=0.0), expected=("a", "b"), gone=("c",)) == {"a": 1, "b": 2}
    assert found(everyone) == {}, "the launcher has not asked"
    assert found(everyone, nodes=NODES) == NODES
