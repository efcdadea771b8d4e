"""A mortal program ends with the process that started it, whatever kills that one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.processes.family import is_alive
from deploy.processes.supervisor import python_module
from tests.support.waiting import PATIENCE_SECONDS, wait_for

ROOT = Path(__file__).parents[3]
SLEEPER = [sys.executable, "-c", "import time; time.sleep(100_000)"]
STARTER = """
import os, subprocess, sys, time
mortal = [*sys.argv[2:5], "deploy.processes.mortal", str(os.getpid())]
child = subprocess.Popen([*mortal, *sys.argv[5:]])
print(child.pid, flush=True)
time.sleep(100_000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel ends nothing")
def test_kill_of_the_parent_ends_the_program() -> None:
    command = [sys.executable, "-c", STARTER, "starter", sys.executable, "-P", "-m", *SLEEPER]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert wait_for(lambda: "mortal" not in " ".join(child.cmdline())), "it is the command"
        assert is_alive(child)
    finally:
        parent.kill()
        parent.communicate()
    assert wait_for(lambda: not is_alive(child)), "the kernel asks it to end"


def test_program_whose_parent_has_gone_does_not_start(tmp_path: Path) -> None:
    made = tmp_path / "made"
    touch = [sys.executable, "-c", f"open({str(made)!r}, 'w')"]
    another = str(os.getppid())  # as if the process below had been left to another parent
    command = python_module("deploy.processes.mortal", another, *touch)
    assert subprocess.run(command, timeout=PATIENCE_SECONDS).returncode == 1
    assert not made.exists()


def test_exit_status_and_process_id_are_those_of_the_command() -> None:
    show = [sys.executable, "-c", "import os, sys; print(os.getpid(), flush=True); sys.exit(7)"]
    command = python_module("deploy.processes.mortal", str(os.getpid()), *show)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert int(child.communicate(timeout=PATIENCE_SECONDS)[0]) == child.pid
    assert child.returncode == 7
