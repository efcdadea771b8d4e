"""`srflm simulate` with Flower's real simulation engine and real processes."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import srflm_flower
from clients.models.model_file import read_model_file
from deploy.flower.environment import flower_environment
from deploy.flower.programs import program
from deploy.processes.family import ProcessFamily, process_family
from deploy.simulation.private_superlink import free_port
from srflm_flower.run.folder import RunFolder
from strategies.protocol.records import TermRecord
from tests.support.commands import SRFLM, run
from tests.support.documents import documented_command
from tests.support.sites import processes_about
from tests.support.tiny import conduct, new_run, records_of, tiny_federation
from tests.support.waiting import PATIENCE_SECONDS, wait_for

pytestmark = pytest.mark.slow
REPOSITORY = Path(srflm_flower.__file__).parents[1]


def write_federation(folder: Path, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "federation.toml"
    changes = {"run__answer_deadline": 600, "run__work_deadline": 600, **changes}
    path.write_text(tiny_federation(folder, **changes).to_toml(), encoding="utf-8")
    return path


def same_models(one: RunFolder, other: RunFolder) -> None:
    for path in sorted(other.models.iterdir()):
        ours, theirs = read_model_file(one.models / path.name), read_model_file(path)
        for name, array in theirs.weights.items():
            np.testing.assert_allclose(ours.weights[name], array, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str]:
    folder = tmp_path_factory.mktemp("simulated")
    result = run([SRFLM, "simulate", write_federation(folder), "--out", "run"], folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return RunFolder(folder / "run"), result.stdout


def test_simulation_leaves_everything_it_promises(simulated: tuple[RunFolder, str]) -> None:
    folder, output = simulated
    assert [record.term for record in records_of(folder)] == [1, 2, 3]
    names = {path.name for path in folder.models.iterdir()}
    assert names == {f"{name}.safetensors" for name in ("a", "b", "c", "d", "global")}
    assert folder.report.exists() and folder.summary.exists()
    assert str(folder.report) in output and "completed: 3 of 3 terms" in output


def test_simulation_leaves_no_process_behind(simulated: tuple[RunFolder, str]) -> None:
    assert processes_about(simulated[0].path) == []


def test_simulation_gives_the_same_as_the_federation_in_memory(
    simulated: tuple[RunFolder, str], tmp_path: Path
) -> None:
    in_memory = new_run(simulated[0].federation(), tmp_path / "run")
    conduct(in_memory)
    same_models(simulated[0], in_memory)


def test_model_loads_in_two_lines_and_predicts(simulated: tuple[RunFolder, str]) -> None:
    import torch

    network = srflm_flower.load_model(simulated[0].global_model)
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
    assert not network.training


def killed_in_a_later_term(path: Path, folder: RunFolder) -> list[TermRecord]:
    """Start a run, kill it soon after its first commit; return the committed records."""
    command = [SRFLM, "simulate", str(path), "--out", str(folder.path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not folder.ledger.exists() and process.poll() is None:
            time.sleep(0.05)
        time.sleep(0.3)  # somewhere in the second term
        os.kill(process.pid, signal.SIGKILL)
    assert wait_for(lambda: processes_about(folder.path) == [])
    committed = records_of(folder)
    assert committed
    return committed


@pytest.mark.long
def test_run_killed_at_any_instant_is_resumed_to_the_same_end(
    simulated: tuple[RunFolder, str], tmp_path: Path
) -> None:
    path, folder = write_federation(tmp_path), RunFolder(tmp_path / "run")
    while len(committed := killed_in_a_later_term(path, folder)) == 3:
        shutil.rmtree(folder.path)  # it was killed too late

    result = run([SRFLM, "simulate", "--resume", folder.path], tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert records_of(folder)[: len(committed)] == committed
    ours, theirs = records_of(folder), records_of(simulated[0])
    assert [record.server for record in ours] == [record.server for record in theirs]
    same_models(folder, simulated[0])


def test_run_that_stops_has_an_exit_code_and_says_why(tmp_path: Path) -> None:
    path = write_federation(tmp_path, aggregation__min_clients=3, training__learning_rate=1e30)
    result = run([SRFLM, "simulate", path, "--out", "run"], tmp_path)
    assert result.returncode == 1
    assert "stopped: 0 of 3 terms" in result.stdout
    assert "usable client updates" in result.stdout
    assert "SRFLM-T1" in result.stdout and "learning-rate" in result.stdout
    assert "srflm simulate --resume" in result.stdout


@pytest.mark.long
def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    paths = [write_federation(tmp_path / name, run__rounds=1) for name in ("one", "two")]
    runs = [
        subprocess.Popen(
            [SRFLM, "simulate", str(path), "--out", str(path.parent / "run")],
            stdout=subprocess.DEVNULL,
        )
        for path in paths
    ]
    assert [process.wait(timeout=PATIENCE_SECONDS) for process in runs] == [0, 0]
    for path in paths:
        assert len(records_of(RunFolder(path.parent / "run"))) == 1


def test_second_run_in_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    folder = new_run(tiny_federation(tmp_path), tmp_path / "run")
    with folder.locked():
        result = run([SRFLM, "simulate", "--resume", folder.path], tmp_path)
    assert result.returncode == 1
    assert "SRFLM-R1" in result.stderr and str(os.getpid()) in result.stderr


def copy_of_repository(folder: Path) -> Path:
    """Return a checkout in which a run may write its results."""
    strangers = (".*", "build", "runs", "*.egg-info", "__pycache__", "shared")
    shutil.copytree(REPOSITORY, folder, ignore=shutil.ignore_patterns(*strangers))
    return folder


def start_local_superlink(
    members: ProcessFamily, environment: dict[str, str], log: Path, cwd: Path
) -> None:
    """Start the SuperLink that ``flwr run`` would start, as its 15 s are few on a busy machine."""
    port = environment["FLWR_LOCAL_SUPERLINK_HTTP_API_PORT"]
    command = [program("flower-superlink"), "--insecure", "--simulation"]
    process = members.start(
        [*command, "--host", "127.0.0.1", "--port", port], environment, log, cwd
    )

    def answers() -> bool:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(port))) == 0

    assert wait_for(answers)


def test_flwr_run_works_as_the_readme_says(tmp_path: Path) -> None:
    environment = flower_environment(tmp_path / "home")
    name, value = documented_command("export FLWR_").removeprefix("export ").split("=")
    environment |= {name: value, "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": str(free_port())}
    log, work = tmp_path / "flwr.log", copy_of_repository(tmp_path / "work")
    with process_family(environment, log) as members:
        environment["RAY_TMPDIR"] = str(members.scratch)
        start_local_superlink(members, environment, log, work)
        command = shlex.split(documented_command("flwr run"))
        command[0] = program("flwr")
        process = members.start(command, environment, log, work)
        assert process.wait(timeout=PATIENCE_SECONDS) == 0
    runs = [path for path in (work / "runs").iterdir() if path.is_dir()]
    assert len(runs) == 1, log.read_text()
    record = records_of(RunFolder(runs[0]))[0]
    assert set(record.ballots) == {"aster", "borealis", "cygnus"}
    assert "term 1: server aster" in log.read_text(encoding="utf-8")


def test_interrupted_run_says_how_to_resume_and_leaves_nothing_running(tmp_path: Path) -> None:
    path = write_federation(tmp_path, run__rounds=1000)  # it never ends by itself
    folder = RunFolder(tmp_path / "run")
    command = [SRFLM, "simulate", str(path), "--out", str(folder.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while not folder.ledger.exists() and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert f"srflm simulate --resume {folder.path}" in output
    assert processes_about(folder.path) == []
