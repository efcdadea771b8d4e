"""What a warm worker refuses and what a forked child is; run in Pythons of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import PATIENCE_SECONDS, wait_for
from tests.support.warm_site import ROOT

CONFIG = """
from pathlib import Path
from deploy.flower.worker import WorkerConfig, warm_up
from deploy.processes.children import fork_child, threads
def config(**more):
    fixed = dict(sources=(), bells=Path("."), log=Path("log"), agreed_bundles=("0" * 64,))
    return WorkerConfig(**fixed, **more)
"""


def python(tmp_path: Path, text: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", CONFIG + text],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(tmp_path: Path, text: str) -> tuple[str, str]:
    out, err = python(tmp_path, text).communicate(timeout=PATIENCE_SECONDS)
    return out, err


def test_worker_has_one_thread_and_the_prepared_data_when_it_forks(tmp_path: Path) -> None:
    (tmp_path / "site_data.py").write_text("kept = []\ndef prepare(): kept.append(7)\n")
    out, err = run(
        tmp_path,
        "warm_up(config(preload=('numpy',), prepare='site_data:prepare'))\n"
        "import os, site_data\n"
        "print(threads(), flush=True)\n"
        "os.waitpid(fork_child(lambda: print(site_data.kept)).pid, 0)\n",
    )
    assert out.split("\n")[:2] == ["1", "[7]"], err


def test_libraries_that_no_task_needs_are_hidden_from_the_preload_alone(tmp_path: Path) -> None:
    (tmp_path / "large.py").write_text("")
    (tmp_path / "picky.py").write_text(
        "try:\n    import large\nexcept ImportError:\n    large = None\n"
    )
    (tmp_path / "site_data.py").write_text("def prepare():\n    import large\n")
    out, err = run(
        tmp_path,
        "warm_up(config(preload=('picky',), hidden=('large', 'sys')))\n"
        "import picky, sys\n"
        "print(picky.large, 'large' in sys.modules)\n"
        "warm_up(config(preload=('picky',), hidden=('large',), prepare='site_data:prepare'))\n"
        "print('large' in sys.modules)\n",
    )
    assert out.split("\n")[:2] == ["None False", "True"], err


def test_warm_site_has_neither_a_drawing_library_nor_data_frames_in_memory(tmp_path: Path) -> None:
    out, err = run(
        tmp_path,
        "from deploy.operating.programs import HIDDEN, PRELOAD\n"
        "import sys\n"
        "before = {*HIDDEN} & {*sys.modules}\n"
        "warm_up(config(preload=PRELOAD, hidden=HIDDEN))\n"
        "print(sorted({*HIDDEN} & {*sys.modules} - before), 'monai' in sys.modules)\n"
        "import matplotlib.pyplot\n"
        "print('still there for whoever asks')\n",
    )
    assert out.split("\n")[:2] == ["[] True", "still there for whoever asks"], err


def test_preparation_that_leaves_a_thread_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site_data.py").write_text(
        "import threading, time\n"
        "def prepare(): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    _, err = run(tmp_path, "warm_up(config(prepare='site_data:prepare'))")
    assert "2 threads after the preload" in err


def test_module_that_is_missing_is_named(tmp_path: Path) -> None:
    _, err = run(tmp_path, "warm_up(config(preload=('not_there',)))")
    assert "ConfigurationError" in err and "'not_there'" in err


def test_children_do_not_draw_the_same_numbers(tmp_path: Path) -> None:
    out, err = run(
        tmp_path,
        "import os, random, numpy\n"
        "def draw(): print(random.random(), numpy.random.rand())\n"
        "for _ in range(3): os.waitpid(fork_child(draw).pid, 0)\n",
    )
    assert len(set(out.split())) == 6, err


def test_child_keeps_its_exit_code_and_writes_to_its_own_log(tmp_path: Path) -> None:
    out, _ = run(
        tmp_path,
        "import sys, time\n"
        "def end(how):\n"
        "    print('mine', flush=True); raise how\n"
        "for how in (SystemExit(0), SystemExit(3), SystemExit('text'), ValueError('wrong')):\n"
        "    child = fork_child(lambda: end(how), Path('child.log'))\n"
        "    while child.poll() is None: time.sleep(0.01)\n"
        "    print(child.poll())\n",
    )
    assert out.split() == ["0", "3", "1", "1"]
    text = (tmp_path / "child.log").read_text()
    assert text.splitlines().count("mine") == 4 and "ValueError: wrong" in text


@pytest.mark.parametrize("deaf", [False, True], ids=["polite", "deaf"])
def test_child_ends_with_its_parent(tmp_path: Path, deaf: bool) -> None:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if deaf else ""
    parent = python(
        tmp_path,
        "import signal, time\n"
        "import deploy.processes.children as children\n"
        "children.GOODBYE_SECONDS = 1.0\n"
        f"def live(): {ignore} Path('ready').touch(); time.sleep(600)\n"
        "print(fork_child(live).pid, flush=True)\n"
        "time.sleep(600)\n",
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    assert wait_for((tmp_path / "ready").exists)
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    assert wait_for(lambda: not child.is_running() or child.status() == "zombie")


def test_children_that_do_not_end_when_asked_are_killed(tmp_path: Path) -> None:
    out, err = run(
        tmp_path,
        "import signal, time\n"
        "import deploy.processes.children as children\n"
        "children.GOODBYE_SECONDS = 3.0\n"  # the polite child must end within it
        "def live(name, deaf):\n"
        "    if deaf: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    Path(name).touch(); time.sleep(600)\n"
        "running = {n: fork_child(lambda n=n: live(n, n == 'deaf')) for n in ('polite', 'deaf')}\n"
        "while not (Path('polite').exists() and Path('deaf').exists()): time.sleep(0.01)\n"
        "def reap():\n"
        "    for name, code in children.take_ended(running): print(name, code)\n"
        "children.end_children(running, reap)\n",
    )
    assert out.splitlines() == ["polite -15", "deaf -9"], err
