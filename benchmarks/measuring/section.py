"""The common part of all benchmarks: run one, and print its section of the results."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.measuring.machine import Machine, this_machine


class Result(Protocol):
    """The figures of a benchmark."""

    def as_markdown(self) -> str:
        """Return the figures as a Markdown table, with a line about their meaning."""
        ...


Benchmark = Callable[[bool, Path], Result]  # (quick, an empty folder for its runs) → result


def section(name: str, quick: bool, machine: Machine, body: str, options: str = "") -> str:
    """Return a benchmark's part of ``results.md``; ``options`` are further ones of the command."""
    command = f"python -m benchmarks.{name}" + (" --quick" if quick else "") + options
    title = name.replace("_", " ").capitalize()
    return f"## {title}\n\n{machine}\n\n`{command}`\n\n{body.strip()}\n"


def measure(name: str, benchmark: Benchmark, quick: bool) -> str:
    """Run a benchmark in a temporary folder; return its section."""
    machine = this_machine()  # before the run, whose own load must not be in the load average
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as folder:
        result = benchmark(quick, Path(folder))
    return section(name, quick, machine, result.as_markdown())


def main(name: str, benchmark: Benchmark, what: str, arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark from the command line and print its section."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=what)
    parser.add_argument("--quick", action="store_true", help="minutes less, and more noise")
    quick = bool(parser.parse_args(arguments).quick)
    print(measure(name, benchmark, quick))
    return 0
