"""Run a federation in Flower's simulation engine, and report how it really ended."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clients.files.following import FollowedLines
from clients.files.lines import complete_lines, size_of
from deploy.flower.app import SIMULATED, write_app
from deploy.flower.environment import flower_environment
from deploy.flower.programs import program
from deploy.processes.family import ProcessFamily, process_family
from deploy.simulation.private_superlink import CONNECTION, start_private_superlink
from srflm_flower.federation.federation import Federation
from srflm_flower.results.summary import RunSummary
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.ledger import Ledger
from srflm_flower.site.ledger import TermLedger
from strategies.errors import SimulationError

OnEvent = Callable[[dict[str, Any]], None]
POLL_SECONDS = 0.2

# Ray gives its own processes 30 s to come up, which a busy machine may miss; the limit is in Ray's
# code, so the only way out is another start.
ENGINE_CAME_TOO_LATE = b"The current node timed out during startup"
STARTS = 3


def simulate(
    folder: RunFolder, on_event: OnEvent, cpus: int | None = None, gpus: int = 0
) -> RunSummary:
    """Start or resume the run in ``folder``; return its summary after all processes have ended.

    Every event of the run goes to ``on_event`` as it happens.  ``cpus`` and ``gpus`` are what the
    vendors share; one vendor computes on one CPU.  Raises :class:`SimulationError` when the run
    ended without a summary of its own, and :class:`LedgerError` when the folder's ledgers
    contradict each other.
    """
    with folder.launched():
        with folder.locked():  # refuse before anything is started; the ServerApp takes it next
            federation = folder.federation()
            server_ledger = TermLedger(folder.server_ledger, federation.hash)
            Ledger(folder.ledger, federation.hash).catch_up(server_ledger.records())
            before = _version(folder.summary)
        resources = simulation_resources(federation, cpus, gpus)
        log = folder.path / "flower.log"
        events = EventTail(folder.events)
        for _ in range(STARTS):
            end_of_log = size_of(log)
            with process_family(os.environ, log) as members:
                run = _start_flower(folder, members, resources, log)
                # The end is a new summary, not Flower's exit: its code 0 means only "submitted".
                while run.poll() is None and _version(folder.summary) == before:
                    events.forward(on_event)
                    time.sleep(POLL_SECONDS)
            events.forward(on_event)
            if _version(folder.summary) != before or not _came_too_late(log, end_of_log):
                break
        if _version(folder.summary) == before:
            raise SimulationError(
                f"the run ended without a summary (Flower's log: {log})",
                "a summary, whether the run completed or stopped",
                f"read the log, then `srflm simulate --resume {folder.path}`;"
                " committed terms are kept",
            )
        return RunSummary.model_validate_json(folder.summary.read_bytes())


def _came_too_late(log: Path, start: int) -> bool:
    """Return whether the log says, after its byte ``start``, that no vendor was ever asked."""
    return any(ENGINE_CAME_TOO_LATE in line for line in complete_lines(log, start))


def _version(path: Path) -> tuple[int, int] | None:
    """Return a value that changes with every replacement of the file, or None without a file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _start_flower(
    folder: RunFolder, members: ProcessFamily, resources: str, log: Path
) -> subprocess.Popen[bytes]:
    """Start a SuperLink and the run on it."""
    # In the family's scratch folder, which is deleted with the family's end.
    home = members.scratch / "flower"
    settings = {"federation": "", "out": str(folder.path), "rounds": 0, "seed": 0}
    app = write_app(home / "app", SIMULATED, settings)
    environment = {**flower_environment(home), "RAY_TMPDIR": str(members.scratch)}
    start_private_superlink(home, environment, members, folder.path / "superlink.log")
    command = [program("flwr"), "run", str(app), CONNECTION, "--stream"]
    return members.start([*command, "--federation-config", resources], environment, log)


def simulation_resources(federation: Federation, cpus: int | None, gpus: int) -> str:
    """Return Flower's federation configuration: per vendor a node, a CPU, a share of the GPUs."""
    cpus = cpus or os.cpu_count() or 1
    vendors = len(federation.roster)
    # At most min(cpus, vendors) vendors compute at a time, and share the GPUs.
    share = min(1.0, gpus / min(cpus, vendors)) if gpus else 0.0
    return (
        f"num-supernodes={vendors} client-resources-num-cpus=1"
        f" client-resources-num-gpus={share} init-args-num-cpus={cpus} init-args-num-gpus={gpus}"
        " init-args-log-to-driver=false"
    )


class EventTail:
    """Reads the events that a run appends to its file after this object was made."""

    def __init__(self, path: Path) -> None:
        self._lines = FollowedLines(path, reach=0)
        self._lines.look()

    def forward(self, on_event: OnEvent) -> None:
        """Hand on every complete line that is new."""
        while lines := self._lines.look():
            for line in lines:
                on_event(json.loads(line))
