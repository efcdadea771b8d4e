"""Every command says how it is used: an example that fits its options; plain text where asked."""

from __future__ import annotations

import inspect
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from deploy.cli import app
from tests.support.commands import SRFLM, run


def _commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    """Yield each command below ``command``, with its words; groups themselves are none."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
        return
    for name, each in inner.items():
        yield from _commands(each, (*path, name))


COMMANDS = dict(_commands(typer.main.get_command(app)))
ESCAPE = "\x1b["


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_an_example_that_fits_the_command(name: str) -> None:
    text = " ".join(inspect.cleandoc(getattr(COMMANDS[name], "help", "") or "").split())
    found = re.search(r"Example: (srflm .*)$", text)
    assert found, "no example at the end of its help"
    words = shlex.split(found[1].partition(" > ")[0])[1:]
    assert " ".join(words).startswith(name)
    known = {word for each in COMMANDS[name].params for word in each.opts}  # type: ignore[attr-defined]
    assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize("settings", [{"NO_COLOR": "1"}, {}], ids=["no-color", "pipe"])
def test_no_colour_where_it_is_not_wanted_or_goes_into_a_pipe(
    settings: dict[str, str], tmp_path: Path
) -> None:
    usual = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    shown = run([SRFLM, "status", tmp_path / "nothing"], tmp_path, env={**usual, **settings})
    assert shown.returncode == 2 and "Error SRFLM-" in shown.stderr
    assert ESCAPE not in shown.stdout + shown.stderr
