from __future__ import annotations

from deploy.processes.backoff import Backoff
from deploy.processes.keeping import KeptChildren


class FakeChild:
    """A child that ends when the test says so."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None

    def poll(self) -> int | None:
        return self.code


class Nursery:
    """Kept children ``a`` and ``b``, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.children: list[FakeChild] = []
        self.ends: list[tuple[str, int, float]] = []
        self.kept = KeptChildren(
            ("a", "b"), self.start, lambda *end: self.ends.append(end), lambda: self.now
        )

    def start(self, name: str) -> FakeChild:
        self.children.append(FakeChild(len(self.children)))
        return self.children[-1]

    def tend_at(self, now: float) -> bool:
        self.now = now
        return self.kept.tend()

    def pids(self) -> dict[str, int]:
        return {name: child.pid for name, child in self.kept.running.items()}


def test_the_wait_doubles_up_to_a_limit_and_a_long_life_resets_it() -> None:
    backoff = Backoff()
    assert [backoff.after(1.0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [backoff.after(100.0), backoff.after(1.0)] == [0.5, 1]


def test_all_children_are_started_once() -> None:
    nursery = Nursery()
    assert nursery.tend_at(0.0)
    assert not nursery.tend_at(100.0), "nothing has changed"
    assert nursery.pids() == {"a": 0, "b": 1}


def test_child_that_has_ended_is_noted_at_once_and_started_after_its_wait() -> None:
    nursery = Nursery()
    nursery.tend_at(0.0)
    nursery.children[0].code = -9
    assert nursery.tend_at(1.0)
    assert nursery.ends == [("a", -9, 0.5)]
    assert nursery.pids() == {"b": 1}
    assert not nursery.tend_at(1.4), "not due yet"
    assert nursery.tend_at(1.5)
    assert nursery.pids() == {"a": 2, "b": 1}
    assert nursery.kept.restarts == {"a": 1}


def test_each_child_has_a_wait_of_its_own() -> None:
    nursery = Nursery()
    nursery.tend_at(0.0)
    for now in (1.0, 2.0, 4.0):
        nursery.kept.running["a"].code = 1  # type: ignore[attr-defined]
        nursery.tend_at(now)
        nursery.tend_at(now + 3.9)
    nursery.kept.running["b"].code = 1  # type: ignore[attr-defined]
    nursery.tend_at(8.0)
    assert [(name, wait) for name, _, wait in nursery.ends] == [
        ("a", 0.5),
        ("a", 1.0),
        ("a", 2.0),
        ("b", 0.5),
    ]


def test_child_that_lived_long_comes_back_quickly() -> None:
    nursery = Nursery()
    nursery.tend_at(0.0)
    for now in (1.0, 100.0):
        nursery.kept.running["a"].code = 1  # type: ignore[attr-defined]
        nursery.tend_at(now)
        nursery.tend_at(now + 30.0)
    assert [wait for _, _, wait in nursery.ends] == [0.5, 0.5]


def test_child_that_is_not_wanted_any_more_ends_without_a_word_and_comes_back_at_once() -> None:
    nursery = Nursery()
    nursery.tend_at(0.0)
    nursery.kept.names = ("b",)
    assert not nursery.tend_at(1.0), "it ends by itself, in its own time"
    nursery.children[0].code = 0
    assert nursery.tend_at(2.0)
    assert (nursery.ends, nursery.pids()) == ([], {"b": 1})
    nursery.kept.names = ("a", "b")
    nursery.tend_at(2.1)
    assert nursery.pids() == {"a": 2, "b": 1}


def test_child_that_may_end_is_started_again_at_once_when_it_is_needed_after_all() -> None:
    nursery = Nursery()
    nursery.kept.may_end = ("a",)
    nursery.tend_at(0.0)
    for number, now in enumerate((1.0, 1.1, 1.2)):  # a knock came after each of its last looks
        nursery.kept.running["a"].code = 0  # type: ignore[attr-defined]
        assert nursery.tend_at(now)
        assert nursery.pids() == {"a": 2 + number, "b": 1}
    assert (nursery.ends, nursery.kept.restarts) == ([], {}), "it was no failure"
    nursery.kept.running["a"].code = -9  # type: ignore[attr-defined]
    nursery.tend_at(2.0)
    nursery.kept.running["b"].code = 0  # type: ignore[attr-defined]
    nursery.tend_at(2.1)
    assert nursery.ends == [("a", -9, 0.5), ("b", 0, 0.5)], "these were failures"
