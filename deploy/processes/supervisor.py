"""Keep a site's programs running: ``python -P -m deploy.processes.supervisor CONFIG.json``.

A program that ends is started again (:mod:`deploy.processes.keeping`).  However this process ends,
a watchdog ends all that it has started (:mod:`deploy.processes.family`), and on Linux the kernel
does, too (:mod:`deploy.processes.mortal`).  When the launcher says
that the roster has changed, all programs are ended, and :mod:`deploy.operating.roster_switch` takes
over.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import Field

from clients.files.durable import write_durably
from clients.files.event_log import EventLog
from clients.files.locks import AlreadyLocked, locked
from deploy.processes.children import Child
from deploy.processes.company import STARTED, Company
from deploy.processes.config import Strict, load_config
from deploy.processes.daily import Daily
from deploy.processes.family import ProcessFamily, process_family
from deploy.processes.keeping import KeptChildren
from deploy.processes.log_keeping import KeptLogs, Reopening
from deploy.processes.notify import ServiceManager
from deploy.processes.private import keep_private
from deploy.processes.rereading import KeptCurrent, Rereading
from strategies.errors import SrflmError

LOOK_SECONDS = 0.2
ROSTER_CHANGED: Final = 75
"""Exit code of a launcher: the roster has changed, and the site must start again."""


@dataclass(frozen=True)
class Program:
    """A program of the site; its log is named after it."""

    name: str
    command: Sequence[str]
    on_demand: Sequence[str] = ()
    """The bells by which it is known to be needed; without any it always runs
    (:mod:`deploy.processes.company`)."""


class SupervisorConfig(Strict):
    """The configuration of ``deploy.processes.supervisor``."""

    vendor: str
    site: Path
    programs: dict[str, tuple[str, ...]]
    environment: dict[str, str]
    folder: Path
    logs: Path
    notes: Path
    """File with the :class:`ProcessTable`, for ``srflm status`` and ``srflm down``."""
    lock: Path
    """Lock that keeps a second supervisor from this site."""
    daily: tuple[str, ...] = ()
    """Command that is run every day: the examination of the site."""
    on_demand: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Programs that run only while they are needed, and end by themselves: the bells of each."""
    bells: Path
    """Folder of bells."""
    reopening: Reopening | None = None
    """The program whose logs are not in ``logs``."""
    rereading: Rereading | None = None
    """The program that is started again when its file is another."""


class ProcessTable(Strict):
    """A running site's process ids and restart counts; ``since`` is in seconds since the epoch."""

    supervisor: int
    programs: dict[str, int]
    restarts: dict[str, int]
    since: float


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our modules."""
    # -P keeps Python from importing a module of the same name from the working folder.
    return [sys.executable, "-P", "-m", module, *arguments]


def _mortal(command: Sequence[str]) -> list[str]:
    return python_module("deploy.processes.mortal", str(os.getpid()), *command)


@dataclass
class Supervisor:
    """Starts the programs, and restarts those that end, until :attr:`stopping`."""

    config: SupervisorConfig
    members: ProcessFamily
    log: EventLog
    stopping: bool = False
    roster_changed: bool = False
    _since: float = field(default_factory=time.time)

    def supervise(self) -> None:
        """Run until :attr:`stopping` or :attr:`roster_changed`."""
        children = KeptChildren(
            self._needed(), self._start, self._note_end, may_end=self.config.on_demand
        )
        manager, is_up = ServiceManager.of(), False
        daily, logs = Daily(self._start_daily), KeptLogs(self.config.logs, self.config.reopening)
        current = KeptCurrent(self.config.rereading)
        while not self.stopping and not self.roster_changed:
            children.names = self._needed()
            if children.tend():
                self._write_notes(children)
            if not is_up:
                manager.ready()
                is_up = True
            manager.alive()
            logs.tend(children.running)
            if current.tend(children.running):
                self.log("file-replaced", program=current.program)
            if self.config.daily:
                daily.tend()
            time.sleep(LOOK_SECONDS)

    def _needed(self) -> list[str]:
        company, on_demand = Company(self.config.bells), self.config.on_demand
        return [
            name
            for name in self.config.programs
            if name not in on_demand or company.needs(on_demand[name])
        ]

    def _start(self, name: str) -> Child:
        config, log = self.config, self.config.logs / f"{name}.log"
        # Its end is asked for by the kernel too, if this process and the watchdog are both killed.
        command = _mortal(config.programs[name])
        environment = {**config.environment, STARTED: repr(time.time())}
        return self.members.start(command, environment, log, config.folder)

    def _start_daily(self) -> Child:
        config = self.config
        log = config.logs / "doctor.log"
        return self.members.start(_mortal(config.daily), config.environment, log, config.folder)

    def _note_end(self, name: str, code: int, wait: float) -> None:
        self.roster_changed |= code == ROSTER_CHANGED
        self.log("program-ended", program=name, code=code, again_in=wait)

    def _write_notes(self, children: KeptChildren) -> None:
        notes = ProcessTable(
            supervisor=os.getpid(),
            programs={name: child.pid for name, child in children.running.items()},
            restarts=children.restarts,
            since=self._since,
        )
        try:
            write_durably(self.config.notes, notes.model_dump_json().encode())
        except SrflmError as error:  # a full disk must not end the site
            self.log("problem", text=error.found)


def main() -> None:
    """Read the configuration and supervise until SIGTERM."""
    keep_private()
    try:
        config = load_config(SupervisorConfig, Path(sys.argv[1]))
        config.logs.mkdir(parents=True, exist_ok=True)
        log = EventLog(config.logs / "supervisor.jsonl")
        with (
            locked(config.lock),
            process_family(os.environ, config.logs / "supervisor.log") as members,
        ):
            supervisor = Supervisor(config, members, log)

            def stop(_number: int, _frame: object) -> None:
                supervisor.stopping = True

            signal.signal(signal.SIGTERM, stop)
            signal.signal(signal.SIGINT, stop)
            signal.signal(signal.SIGHUP, stop)
            log("site-up", vendor=config.vendor, process=os.getpid())
            supervisor.supervise()
            log("site-down", vendor=config.vendor)
        if supervisor.roster_changed and not supervisor.stopping:
            log("roster-changed", vendor=config.vendor)
            os.execv(
                sys.executable, python_module("deploy.operating.roster_switch", str(config.site))
            )
    except AlreadyLocked as error:
        sys.exit(f"the site is up already (process {error.holder})")
    except SrflmError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
