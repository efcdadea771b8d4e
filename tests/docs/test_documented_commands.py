"""Every command of the README and the tutorials is run as it stands, or named here with a reason.

A tutorial is run from top to bottom in a folder of its own, as a reader would do it: each block of
shell is a script that must succeed, a block of text after it is what it must print, and a block of
Python is a program.  Commands of the README that no tutorial has are run in the same way.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.commands import BIN, SRFLM, run
from tests.support.documents import README, ROOT, TUTORIALS, Block, blocks_of, commands_of
from tests.support.sites import processes_about
from tests.support.waiting import wait_until

NOT_RUN: Final = {
    "make setup": "it installs the virtual environment in which the tests run",
    "make demo": "it installs, then runs `srflm simulate`, which a tutorial runs with fewer rounds",
    "make test": "it runs this test",
    ". .venv/bin/activate": "the tests put their own environment first in PATH",
    "sudo apt-get install nginx-light": "it changes the machine; CI does so",
}
LONG: Final = {"federation"}
"""Tutorials that take minutes."""
# Beginning of a command of the README → the test that takes it from there and runs it.
RUN_ELSEWHERE: Final = {
    "export FLWR_": "tests/simulation/test_simulate.py",
    "flwr run": "tests/simulation/test_simulate.py",
}
# A simulation gives its vendors a minute to be ready; on a busy machine they need more.
# The example is the built-in federation written out, so naming it changes nothing but that minute.
SIMULATE: Final = "srflm simulate --"
SIMULATE_PATIENTLY: Final = "srflm simulate examples/phantom/federation.toml --"
RUN_TABLE: Final = re.compile(r"^\[run\].*$", re.M)
NGINX_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
# A hung command must not block CI for ever; eight times the usual load is no reason to fail.
PATIENCE_SECONDS: Final = 3600.0


def is_excused(command: str) -> bool:
    """Return whether a command is in one of the two tables."""
    return command in NOT_RUN or command.startswith(tuple(RUN_ELSEWHERE))


def own_commands(block: Block, others: Collection[str] = ()) -> list[str]:
    """Return what is to be run of a block: neither excused nor among ``others``."""
    run_here = [each for each in block.commands if not is_excused(each) and each not in others]
    return [each.replace(SIMULATE, SIMULATE_PATIENTLY) for each in run_here]


def execute(command: list[str | Path], folder: Path) -> str:
    """Run a command in the folder with this environment's programs; return all that it prints."""
    environment = {**os.environ, "PATH": f"{BIN}:{NGINX_PATH}"}
    ended = run(command, folder, PATIENCE_SECONDS, environment)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    return ended.stdout + ended.stderr


def require_output(expected: Block, output: str) -> None:
    """Fail unless the lines of a block of text are among those printed, in their order.

    ``…`` stands for anything, and a number with a point for any such number.
    """
    place = 0
    for line in filter(None, map(str.strip, expected.text.splitlines())):
        pattern = re.escape(line).replace("…", ".*")
        found = re.search(re.sub(r"\d+\\\.\d+", r"\\d+\\.\\d+", pattern), output[place:])
        assert found, f"the page promises {line!r}; printed was\n{output}"
        place += found.end()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Path]:
    """Return a reader's folder, with patient examples; nothing that was started there stays."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for example in (tmp_path / "examples").rglob("*.toml"):
        text = example.read_text(encoding="utf-8")
        patient = RUN_TABLE.sub(f"[run]\nanswer-deadline = {PATIENCE_SECONDS}", text)
        example.write_text(patient, encoding="utf-8")
    yield tmp_path
    if (tmp_path / "poc").exists():
        run([SRFLM, "poc", "down"], tmp_path, PATIENCE_SECONDS)
    wait_until(lambda: processes_about(tmp_path) == [], "processes are left")


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.long] if page.stem in LONG else [], id=page.stem)
        for page in TUTORIALS
    ],
)
def test_tutorial_does_what_it_says(page: Path, reader: Path) -> None:
    needs_nginx = any("poc" in command for command in commands_of(page))
    if needs_nginx and shutil.which("nginx", path=NGINX_PATH) is None:
        pytest.skip("no program nginx: sudo apt-get install nginx-light")
    output = ""
    for block in blocks_of(page):
        if block.language == "sh" and (commands := own_commands(block)):
            output = execute(["bash", "-euo", "pipefail", "-c", "\n".join(commands)], reader)
        elif block.language == "python":
            output = execute([sys.executable, "-c", block.text], reader)
        elif block.language == "text":
            require_output(block, output)


@pytest.mark.slow
def test_readme_does_what_it_says(reader: Path) -> None:
    in_tutorials = {command for page in TUTORIALS for command in commands_of(page)}
    for block in blocks_of(README):
        if block.language == "sh" and (commands := own_commands(block, in_tutorials)):
            execute(["bash", "-euo", "pipefail", "-c", "\n".join(commands)], reader)


def test_tables_name_only_commands_that_are_documented() -> None:
    documented = [each for page in (README, *TUTORIALS) for each in commands_of(page)]
    assert sorted(NOT_RUN.keys() - {*documented}) == []
    assert [s for s in RUN_ELSEWHERE if not any(each.startswith(s) for each in documented)] == []


@pytest.mark.parametrize("start", RUN_ELSEWHERE)
def test_command_that_another_test_runs_is_taken_from_the_readme(start: str) -> None:
    """`flwr run` needs a Flower of its own, which the tests of the simulation have."""
    text = (ROOT / RUN_ELSEWHERE[start]).read_text(encoding="utf-8")
    assert f'documented_command("{start}' in text
