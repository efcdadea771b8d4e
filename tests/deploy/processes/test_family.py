from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.processes import family as processes
from deploy.processes.family import ProcessFamily, end_family, family, make_scratch, process_family
from tests.support.waiting import wait_for

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
DETACHING = [
    sys.executable,
    "-c",
    "import subprocess, sys, time;"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
    " start_new_session=True); time.sleep(600)",
]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print('deaf', flush=True); time.sleep(600)",
]


def start_stubborn(members: ProcessFamily, log: Path) -> subprocess.Popen[bytes]:
    """Start a process, and wait until it ignores the polite signal."""
    process = members.start(STUBBORN, os.environ, log)
    assert wait_for(lambda: "deaf" in log.read_text())
    return process


def test_family_ends_with_its_block_even_what_has_detached(tmp_path: Path) -> None:
    with process_family(os.environ, tmp_path / "log") as members:
        members.start(DETACHING, os.environ, tmp_path / "log")
        assert wait_for(lambda: len(family(members.tag)) == 2)
        assert members.scratch.is_dir()
    assert family(members.tag) == set()
    assert not members.scratch.exists()


def test_process_that_ignores_the_polite_signal_is_killed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("deploy.processes.family.PATIENCE_SECONDS", 0.5)
    members = ProcessFamily("stubborn-" + tmp_path.name, tmp_path)
    process = start_stubborn(members, tmp_path / "log")
    end_family(members.tag)
    assert family(members.tag) == set()
    process.wait()


def test_families_do_not_meet(tmp_path: Path) -> None:
    with process_family(os.environ, tmp_path / "log") as one:
        with process_family(os.environ, tmp_path / "log") as other:
            for members in (one, other):
                members.start(SLEEPER, os.environ, tmp_path / "log")
                assert wait_for(lambda tag=members.tag: len(family(tag)) == 1)
        assert len(family(one.tag)) == 1 and family(other.tag) == set()


def test_family_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, sys, time; from pathlib import Path;"
        "from deploy.processes.family import process_family\n"
        "with process_family(os.environ, Path('log')) as members:\n"
        "    members.start([sys.executable, '-c', 'import time; time.sleep(600)'], os.environ,"
        " Path('log'))\n"
        "    Path('tag').write_text(members.tag); time.sleep(600)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path)
    assert wait_for(lambda: (tmp_path / "tag").exists() and (tmp_path / "tag").read_text())
    tag = (tmp_path / "tag").read_text()
    assert wait_for(lambda: len(family(tag)) == 1)
    starter.kill()
    starter.wait()
    assert wait_for(lambda: family(tag) == set())
    assert not psutil.pid_exists(starter.pid) or starter.returncode is not None


def test_family_ends_although_its_watchdog_was_killed(tmp_path: Path) -> None:
    with process_family(os.environ, tmp_path / "log") as members:
        members.start(SLEEPER, os.environ, tmp_path / "log")
        watchdogs = [
            each for each in psutil.Process().children() if members.tag in " ".join(each.cmdline())
        ]
        assert len(watchdogs) == 1
        watchdogs[0].kill()
    assert family(members.tag) == set()
    assert not members.scratch.exists()


def test_watchdog_is_ours_whatever_lies_where_the_user_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "__init__.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    with process_family(os.environ, tmp_path / "log") as members:
        members.start(SLEEPER, os.environ, tmp_path / "log")
    assert (tmp_path / "log").read_text() == ""
    assert family(members.tag) == set() and not members.scratch.exists()


def test_process_that_cannot_be_ended_is_left_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GIVE_UP_SECONDS", 0.5)
    members = ProcessFamily("unkillable-" + tmp_path.name, tmp_path)
    process = start_stubborn(members, tmp_path / "log")
    end_family(members.tag)  # patience is longer: nobody was killed
    assert process.poll() is None
    process.kill()
    process.wait()


def test_scratch_folder_is_shallow_enough_for_rays_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes.tempfile, "gettempdir", lambda: "/var/folders/ab/" + "c" * 30)
    scratch = make_scratch()
    try:
        assert len(str(scratch)) <= 22
    finally:
        scratch.rmdir()
