"""Commands start fast: what is heavy is imported by the work that needs it, never for the help."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer
from click import Command, Group
from typer.main import get_command

from deploy.cli import app

HEAVY = {"torch", "monai", "opacus", "matplotlib", "flwr", "ray", "scipy", "numpy", "pydantic"}

SCRIPT = """
import json, sys
from typer.testing import CliRunner
from deploy.cli import app
results = [CliRunner().invoke(app, words) for words in json.loads(sys.argv[1])]
assert [result.exit_code for result in results] == [0] * len(results), results
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def helps(command: Command, path: tuple[str, ...] = ()) -> list[list[str]]:
    """Return the words that ask for help, of a command and of all below it."""
    below = command.commands.items() if isinstance(command, Group) else ()
    return [[*path, "--help"], *(h for name, each in below for h in helps(each, (*path, name)))]


def imported_by(*calls: list[str]) -> set[str]:
    """Return the top-level modules that a fresh process has after these calls."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(calls)]
    return set(
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    )


def test_every_help_is_without_heavy_imports() -> None:
    calls = helps(get_command(app))
    assert len(calls) > 25
    assert imported_by(*calls) & HEAVY == set()


def test_the_check_sees_a_heavy_import() -> None:
    assert "numpy" in imported_by(["config", "show"])


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
def test_shell_completion_is_offered(option: str) -> None:
    assert isinstance(app, typer.Typer)
    names = {name for each in get_command(app).params for name in each.opts}
    assert option in names
