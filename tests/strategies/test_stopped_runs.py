"""The protocol on a federation in memory: too many fail, or the server dies at any instant."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from flwr.app import Message

from srflm_flower.run.folder import RunFolder
from strategies.errors import FederationStopped
from strategies.protocol import messages as wire
from tests.support.faults import (
    Crash,
    at,
    crash_at_message,
    raising_at,
    silent_at,
)
from tests.support.rotating import run_in, same_outcome
from tests.support.tiny import VENDORS, conduct, records_of


def test_run_stops_clearly_without_a_majority_and_keeps_what_is_committed(tmp_path: Path) -> None:
    run = run_in(tmp_path)

    def two_vanish(message: Message) -> bool:
        return any(at(v, term=term)(message) for v in "cd" for term in (2, 3, 4))

    with pytest.raises(FederationStopped) as stopped:
        conduct(run, silent_at(two_vanish))
    assert stopped.value.code == FederationStopped.NO_QUORUM
    assert [record.term for record in records_of(run)] == [1]
    assert '"status": "stopped"' in run.summary.read_text()
    assert run.report.exists()


def test_stopped_run_goes_on_when_the_vendors_are_back(tmp_path: Path, unbroken: RunFolder) -> None:
    run = run_in(tmp_path)
    with pytest.raises(FederationStopped):
        conduct(run, silent_at(lambda m: any(at(v, term=2)(m) for v in "cd")))
    assert conduct(run).status == "completed"
    same_outcome(run, unbroken)


def test_run_stops_when_no_vendor_can_serve(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    with pytest.raises(FederationStopped) as stopped:
        conduct(run, raising_at(lambda m: m.metadata.message_type == wire.FINETUNE))
    assert stopped.value.code == FederationStopped.NO_SERVER
    assert records_of(run) == []


def test_run_that_failed_over_before_it_stopped_can_be_resumed(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    with pytest.raises(FederationStopped):
        conduct(run, raising_at(lambda m: m.metadata.message_type == wire.FINETUNE))
    assert conduct(run).status == "completed"
    assert records_of(run)[0].attempt > 0


def test_too_few_clients_stop_the_run(tmp_path: Path) -> None:
    run = run_in(tmp_path, aggregation__min_clients=3)
    with pytest.raises(FederationStopped, match="min-clients"):
        conduct(run, raising_at(at("d", [wire.TRAIN])))


def test_federation_larger_than_the_simulation_is_refused(tmp_path: Path) -> None:
    from srflm_flower.client_app import app
    from srflm_flower.run.conduct import ConductedRun
    from srflm_flower.run.memory_grid import MemoryGrid

    run = run_in(tmp_path)
    with pytest.raises(FederationStopped, match="num-supernodes=4") as stopped:
        ConductedRun(run, run.federation()).conduct(MemoryGrid(app, 2, run.path))
    assert stopped.value.code == FederationStopped.WRONG_SIZE


def test_nodes_beyond_the_roster_stay_idle(tmp_path: Path) -> None:
    from srflm_flower.client_app import app
    from srflm_flower.run.conduct import ConductedRun
    from srflm_flower.run.memory_grid import MemoryGrid

    run = run_in(tmp_path)
    ConductedRun(run, run.federation()).conduct(MemoryGrid(app, 7, run.path))
    assert set(records_of(run)[-1].ballots) == set(VENDORS)


@pytest.mark.parametrize("after_delivery", [False, True])
@pytest.mark.slow
def test_crash_at_any_message_loses_nothing(
    tmp_path: Path, unbroken: RunFolder, after_delivery: bool
) -> None:
    """Kill all at every few messages, resume, and compare with the unbroken run."""
    for count in itertools.count(0, 5 if after_delivery else 6):
        run = run_in(tmp_path, f"run-{count}")
        try:
            conduct(run, crash_at_message(count, after_delivery))
        except Crash:
            committed = records_of(run)
            conduct(run)
            assert records_of(run)[: len(committed)] == committed
            same_outcome(run, unbroken)
        else:
            assert count > 40  # the run has more messages than that
            break
