"""Run the FedAvg app in Flower's simulation engine, in the same way as ``srflm simulate``."""

from __future__ import annotations

import os
import time
from pathlib import Path

import tomlkit

from benchmarks.fedavg_app.server_app import ROUNDS_FILE
from benchmarks.measuring.round_times import RoundEnd, read_round_ends
from deploy.flower.environment import flower_environment
from deploy.flower.programs import program
from deploy.processes.family import process_family
from deploy.simulation.private_superlink import CONNECTION, start_private_superlink
from deploy.simulation.simulation import POLL_SECONDS, simulation_resources
from srflm_flower.run.folder import RunFolder
from strategies.errors import SimulationError

REPOSITORY = Path(__file__).parents[1]


def simulate_fedavg(folder: RunFolder, cpus: int) -> list[RoundEnd]:
    """Run FedAvg on the federation in ``folder``; return the ends of its rounds, the start first.

    Raises :class:`SimulationError` if the run ended early.
    """
    federation = folder.federation()
    log, ends_file = folder.path / "flower.log", folder.path / ROUNDS_FILE
    with process_family(os.environ, log) as members:
        home = members.scratch / "flower"
        app = _write_app(home / "app", folder.path)
        environment = flower_environment(home)
        paths = [str(REPOSITORY), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)  # the benchmarks are not installed
        environment["RAY_TMPDIR"] = str(members.scratch)
        start_private_superlink(home, environment, members, folder.path / "superlink.log")
        command = [program("flwr"), "run", str(app), CONNECTION, "--stream"]
        command += ["--federation-config", simulation_resources(federation, cpus, 0)]
        run = members.start(command, environment, log)
        # "<=", because the file has the start as round 0.
        while run.poll() is None and len(read_round_ends(ends_file)) <= federation.run.rounds:
            time.sleep(POLL_SECONDS)
    ends = read_round_ends(ends_file)
    if len(ends) <= federation.run.rounds:
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise SimulationError(
            f"{max(0, len(ends) - 1)} of {federation.run.rounds} FedAvg rounds;"
            f" Flower's log ends:\n{tail}",
            "all rounds",
            "read the log",
        )
    return ends


def _write_app(path: Path, out: Path) -> Path:
    path.mkdir(parents=True)
    app = {
        "publisher": "srflm",
        "components": {
            "serverapp": "benchmarks.fedavg_app.server_app:app",
            "clientapp": "benchmarks.fedavg_app.client_app:app",
        },
        "config": {"out": str(out)},
    }
    project = {"name": "stock-fedavg", "version": "1.0.0", "license": "Apache-2.0"}
    tree = {"project": project, "tool": {"flwr": {"app": app}}}
    (path / "pyproject.toml").write_text(tomlkit.dumps(tree), encoding="utf-8")
    return path
