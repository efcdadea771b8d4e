"""A supervisor of made-up programs, in a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.processes.rereading import Rereading
from deploy.processes.supervisor import SupervisorConfig, python_module


@contextmanager
def supervised(
    folder: Path,
    programs: Mapping[str, Sequence[str]],
    on_demand: Mapping[str, tuple[str, ...]],
    environment: Mapping[str, str] = os.environ,
    rereading: Rereading | None = None,
) -> Iterator[None]:
    """Keep ``programs`` running within the block; its files and bells lie in ``folder``.

    ``environment`` is that of the supervisor; the programs have this process' own.
    """
    config = SupervisorConfig(
        vendor="a",
        site=folder,
        programs={name: tuple(command) for name, command in programs.items()},
        on_demand=on_demand,
        environment=dict(os.environ),
        bells=folder / "bells",
        folder=folder,
        logs=folder / "logs",
        notes=folder / "up.json",
        lock=folder / "lock",
        rereading=rereading,
    )
    config.bells.mkdir()
    path = folder / "supervisor.json"
    path.write_text(config.model_dump_json())
    command, root = (
        python_module("deploy.processes.supervisor", str(path)),
        Path(__file__).parents[2],
    )
    with subprocess.Popen(command, env=environment, cwd=root) as supervisor:
        try:
            yield
        finally:
            supervisor.terminate()
