from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import ray._private.node

from clients.files.durable import write_durably
from clients.files.rotation import rename
from deploy.processes.family import ProcessFamily
from deploy.simulation import simulation
from deploy.simulation.simulation import EventTail, simulate, simulation_resources
from srflm_flower.run.folder import RunFolder
from strategies.errors import LedgerError, RunFolderError, SimulationError
from tests.support.tiny import conduct, new_run, tiny_federation

NOTHING = [sys.executable, "-c", ""]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("finished")
    run = new_run(tiny_federation(folder, run__rounds=1), folder / "run")
    conduct(run)
    return run


def test_every_vendor_has_a_node_and_a_share_of_the_gpus(tmp_path: Path) -> None:
    words = simulation_resources(tiny_federation(tmp_path), 2, 1).split()
    assert "num-supernodes=4" in words and "client-resources-num-gpus=0.5" in words


def test_second_launcher_is_refused_before_flower_is_started(
    finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "process_family", None)
    with finished.launched(), pytest.raises(RunFolderError) as caught:
        simulate(finished, lambda _: None)
    assert caught.value.code == RunFolderError.BUSY


def test_run_of_an_older_version_is_refused_before_flower_is_started(
    finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "process_family", None)
    run = RunFolder(shutil.copytree(finished.path, tmp_path / "run"))
    run.server_ledger.unlink()
    with pytest.raises(LedgerError, match="not in the server's own ledger"):
        simulate(run, lambda _: None)


def test_run_that_does_not_start_keeps_the_old_summary_and_is_an_error(
    finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: RunFolder, members: ProcessFamily, __: str, log: Path) -> subprocess.Popen[bytes]:
        return members.start(NOTHING, {}, log)

    monkeypatch.setattr(simulation, "_start_flower", start)
    before = finished.summary.read_bytes()
    with pytest.raises(SimulationError, match="without a summary"):
        simulate(finished, lambda _: None)
    assert finished.summary.read_bytes() == before


def test_summary_written_anew_is_the_runs_even_with_the_same_text(
    finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: RunFolder, members: ProcessFamily, __: str, log: Path) -> subprocess.Popen[bytes]:
        write_durably(finished.summary, finished.summary.read_bytes())
        return members.start(NOTHING, {}, log)

    monkeypatch.setattr(simulation, "_start_flower", start)
    assert simulate(finished, lambda _: None).status == "completed"


@pytest.mark.parametrize("late", [1, 2, 3])
def test_simulation_is_started_again_when_rays_processes_came_up_too_late(
    finished: RunFolder, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    assert "The current node timed out during startup." in inspect.getsource(ray._private.node)
    starts = []

    def start(_: RunFolder, members: ProcessFamily, __: str, log: Path) -> subprocess.Popen[bytes]:
        starts.append(log)
        if len(starts) > late:
            write_durably(finished.summary, finished.summary.read_bytes())
            return members.start(NOTHING, {}, log)
        text = simulation.ENGINE_CAME_TOO_LATE.decode()
        return members.start([sys.executable, "-c", f"print({text!r})"], {}, log)

    monkeypatch.setattr(simulation, "_start_flower", start)
    if late < simulation.STARTS:
        assert simulate(finished, lambda _: None).status == "completed"
        assert len(starts) == late + 1
    else:
        with pytest.raises(SimulationError, match="without a summary"):
            simulate(finished, lambda _: None)
        assert len(starts) == simulation.STARTS


def test_live_table_gets_each_event_of_this_start_even_when_the_log_is_rotated(
    tmp_path: Path,
) -> None:
    path, seen = tmp_path / "events.jsonl", list[int]()

    def add(*numbers: int) -> None:
        with path.open("a") as file:
            file.write("".join(f'{{"n": {number}}}\n' for number in numbers))

    add(1)  # of the run before it was resumed
    tail = EventTail(path)
    add(2)
    tail.forward(lambda event: seen.append(event["n"]))
    add(3)
    rename(path)
    add(4)
    tail.forward(lambda event: seen.append(event["n"]))
    assert seen == [2, 3, 4]
