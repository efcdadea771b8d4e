"""The worker asks a source for tasks when its bell was rung, and all of them now and then."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clients.files.event_log import EventLog
from deploy.flower import worker as module
from deploy.flower.nouns import FlowerTask
from deploy.flower.supernodes_config import message_bell
from deploy.flower.worker import ALL_SECONDS, FRESH_SECONDS, Worker
from deploy.processes.bell import Bell


@dataclass(eq=False)
class Source:
    """A source with tasks; it counts the questions."""

    address: str
    tasks: list[FlowerTask] = field(default_factory=list)
    problem: str = ""
    asked: int = 0

    def acquire(self) -> FlowerTask | None:
        self.asked += 1
        return self.tasks.pop(0) if self.tasks else None


class Scene:
    """A worker with two sources, whose children are made up, and a clock that is turned by hand."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.now = folder, 1_000_000.0
        # The name in this module alone: nothing else sees the clock.
        clock = SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now)
        patch.setattr(module, "time", clock)
        patch.setattr(module, "fork_child", lambda work: self.begun.append(work))
        self.begun: list[Any] = []
        self.a, self.b = Source("a"), Source("b")
        sources: Any = [self.a, self.b]
        bells = {each: Bell(folder / message_bell(each.address)) for each in sources}
        log = EventLog(folder / "log")
        self.worker = Worker(sources, Bell(folder / "worker"), log, (), lambda: None, bells=bells)
        self.look()  # the first one is at all
        self.a.asked = self.b.asked = 0

    def ring(self, peer: str) -> None:
        path = self.folder / message_bell(peer)
        path.touch()
        os.utime(path, (self.now, self.now))

    def look(self) -> int:
        """Look once, as the worker's loop does; return how many tasks were taken."""
        return sum(self.worker._ask(each) for each in self.worker._worth_asking())

    def asked(self) -> tuple[int, int]:
        return self.a.asked, self.b.asked


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def task(number: int) -> FlowerTask:
    return FlowerTask("client", number, "b" * 64, "token")


def test_only_the_source_that_rang_is_asked_until_it_has_no_more(scene: Scene) -> None:
    scene.b.tasks += [task(1), task(2)]
    scene.ring("b")
    assert [scene.look() for _ in range(3)] == [1, 1, 0]
    assert scene.asked() == (0, 3) and len(scene.begun) == 2


def test_task_that_comes_a_moment_after_its_bell_is_found(scene: Scene) -> None:
    scene.ring("a")
    assert scene.look() == 0
    scene.now += 0.9 * FRESH_SECONDS
    scene.a.tasks.append(task(1))
    assert scene.look() == 1


def test_source_whose_bell_was_served_is_left_in_peace(scene: Scene) -> None:
    scene.ring("a")
    scene.now += FRESH_SECONDS
    assert scene.look() == 0
    for _ in range(5):
        scene.now += 0.1
        scene.look()
    assert scene.asked() == (1, 0)
    scene.ring("a")
    scene.look()
    assert scene.asked() == (2, 0)


def test_task_without_any_bell_is_found_all_the_same(scene: Scene) -> None:
    scene.a.tasks.append(task(1))
    assert scene.look() == 0
    scene.now += ALL_SECONDS
    assert scene.look() == 1


def test_bell_of_the_future_is_asked_for_once(scene: Scene) -> None:
    scene.now += 3600.0
    scene.ring("a")
    scene.now -= 3600.0  # the clock was set back
    for _ in range(5):
        scene.look()
    assert scene.asked() == (1, 0)
