"""Commands and options that the documents name exist, those of the how-to pages too."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest
import typer.main

from tests.support.documents import PAGES, ROOT, commands_of, prose_of

INLINE = re.compile(r"`(srflm [^`]+)`")
HELP = "--help"


def program() -> click.Command:
    """Return the command line that this tree installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module = import_module(project["scripts"]["srflm"].partition(":")[0])
    return typer.main.get_command(module.app)


def named_in(page: Path) -> Iterator[str]:
    """Yield the ``srflm`` commands of a page, from its blocks and its prose."""
    yield from (each for each in commands_of(page) if each.startswith("srflm "))
    yield from INLINE.findall(prose_of(page))


def problem_of(command: str) -> str | None:
    """Return what is wrong with a command: a name or an option that does not exist."""
    place, context = program(), click.Context(click.Command("srflm"))
    words = shlex.split(command.split(" > ")[0])[1:]
    while words and isinstance(place, click.Group) and not words[0].startswith("-"):
        found = place.get_command(context, words.pop(0))
        if found is None:
            return f"no such command: {command}"
        place = found
    options = {name for each in place.params for name in (*each.opts, *each.secondary_opts)}
    unknown = [word for word in words if word.startswith("-") and word not in {*options, HELP}]
    return f"{command}: no option {', '.join(unknown)}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_commands_exist(page: Path) -> None:
    assert [found for found in map(problem_of, named_in(page)) if found is not None] == []


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("srflm frobnicate", "no such command"),
        ("srflm run site --round 3", "no option --round"),
        ("srflm privacy show site --epsilon 3", "no option --epsilon"),
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str, problem: str) -> None:
    assert problem in (problem_of(command) or "")
