"""The first opening of a simulation waits for nodes whose processes are still starting."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
from flwr.app import Message

from srflm_flower.client_app import app
from srflm_flower.run import conduct
from srflm_flower.run.conduct import ConductedRun
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.memory_grid import Fault, MemoryGrid, no_fault
from srflm_flower.run.simulated_site import SimulatedSite
from strategies.errors import FederationStopped
from strategies.protocol import messages as wire
from strategies.server_rotating import ServerRotating
from tests.support.faults import at, silent_at
from tests.support.rotating import run_in
from tests.support.tiny import VENDORS, records_of


class FakeClock:
    """Time that passes only when somebody sleeps."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class SlowStart(MemoryGrid):
    """A federation in memory whose nodes give no answer before ``ready`` seconds."""

    def __init__(
        self, run: RunFolder, clock: FakeClock, ready: float, fault: Fault = no_fault
    ) -> None:
        super().__init__(app, len(VENDORS), run.path, fault)
        self.clock, self.ready = clock, ready

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return super().pull_messages(message_ids) if self.clock.now >= self.ready else []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Return the clock by which runs are conducted."""
    clock = FakeClock()
    timed = partial(ServerRotating, clock=clock, sleep=clock.sleep)
    monkeypatch.setattr(conduct, "ServerRotating", timed)
    return clock


def slow_to_start(folder: Path) -> RunFolder:
    return run_in(folder, run__answer_deadline=60, run__work_deadline=3600)


def conduct_on(grid: MemoryGrid, run: RunFolder) -> None:
    SimulatedSite.forget(run.path)
    ConductedRun(run, run.federation()).conduct(grid)


def test_nodes_that_start_slowly_are_waited_for(tmp_path: Path, clock: FakeClock) -> None:
    run = slow_to_start(tmp_path)
    conduct_on(SlowStart(run, clock, ready=1000.0), run)
    first, *others = records_of(run)
    assert (first.attempt, first.absences) == (0, ())
    assert first.cost["open"].seconds >= 1000
    assert len(others) == 2 and all(record.attempt == 0 for record in others)


def test_nodes_that_never_start_are_not_waited_for_without_end(
    tmp_path: Path, clock: FakeClock
) -> None:
    run = slow_to_start(tmp_path)
    with pytest.raises(FederationStopped) as caught:
        conduct_on(SlowStart(run, clock, ready=1e6), run)
    assert caught.value.code == FederationStopped.NO_QUORUM
    assert 3600 <= clock.now < 3700


def test_later_openings_wait_as_agreed(tmp_path: Path, clock: FakeClock) -> None:
    """A vendor that missed a commit makes the server open the next term, which two are not in."""
    run = slow_to_start(tmp_path)

    def gone(message: Message) -> bool:
        missed = at("d", [wire.COMMIT], term=1)(message)
        return missed or any(at(vendor, term=2)(message) for vendor in "cd")

    with pytest.raises(FederationStopped) as caught:
        conduct_on(SlowStart(run, clock, 0.0, silent_at(gone)), run)
    assert caught.value.code == FederationStopped.NO_QUORUM
    assert [record.term for record in records_of(run)] == [1]
    assert 60 <= clock.now < 120
