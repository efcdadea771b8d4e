"""Rules of the tables, sections, and the line on the machine."""

from __future__ import annotations

from importlib import metadata

import pytest

from benchmarks.measuring.machine import Machine, this_machine
from benchmarks.measuring.markdown import table
from benchmarks.measuring.section import section


def test_table_is_markdown() -> None:
    assert table(("a", "b"), [(1, "x|y")]) == "| a | b |\n|---|---|\n| 1 | x\\|y |\n"


def test_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="found 1 cells; expected 2"):
        table(("a", "b"), [(1,)])


def test_section_says_machine_and_command() -> None:
    machine = Machine(cores=2, cpu="Test CPU", gpu=None, load=0.25)
    text = section("many_vendors", True, machine, "body\n\n")
    title, line, command, body = text.strip().split("\n\n")
    assert title == "## Many vendors"
    assert line.startswith("2 cores of Test CPU; Python 3.")
    assert f"flwr {metadata.version('flwr')}" in line
    assert command == "`python -m benchmarks.many_vendors --quick`"
    assert body == "body"


def test_machine_is_found() -> None:
    machine = this_machine()
    assert machine.cores >= 1 and machine.cpu
