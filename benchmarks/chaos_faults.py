"""Faults for a federation of real sites: failures of a hospital's machines, caused on purpose.

The longer faults repair themselves at their end: a stopped process continues, space is freed.
"""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.faults.clock import Clock
from deploy.operating.control import prepare, start_detached
from deploy.operating.running import read_notes
from deploy.processes.family import TAG, family
from deploy.site.deployed_site import DeployedSite
from deploy.site.layout import Layout
from strategies.errors import SrflmError
from strategies.protocol.quorum import owner

PROGRAMS = ("superlink", "supernodes", "supernode", "worker", "task", "launcher", "edge")


@dataclass(frozen=True)
class Fault:
    """The kind of a fault, its site, its time (seconds since the epoch), and its term."""

    kind: str
    site: str
    at: float
    term: int


def processes_of(site: DeployedSite) -> dict[str, list[psutil.Process]]:
    """Return program → processes of a site that is up; ``task`` are ServerApps and ClientApps."""
    notes = read_notes(Layout.of(site.settings))
    found: dict[str, list[psutil.Process]] = {}
    for name, pid in (notes.programs if notes else {}).items():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            found[name] = [process]
            children = process.children(recursive=True)
            if name == "edge":
                found[name] = children or [process]  # nginx itself; its parent is only a shell
            elif name == "supernodes":
                found["supernode"] = children
            elif name == "worker":
                found["task"] = children
    return {name: each for name, each in found.items() if each}


def serving_now(sites: dict[str, DeployedSite]) -> str | None:
    """Return the vendor that serves the open term, as seen by the site furthest ahead."""
    best = max(sites.values(), key=lambda site: len(site.state.ledger))
    view = best.site.participant.view()
    return owner(view.attempt, view.ranking) if view.attempt >= 0 else None


def kill_program(site: DeployedSite, chooser: random.Random, kind: str | None = None) -> str:
    """Kill a random process of a site and return its name; the supervisor starts it again."""
    found = processes_of(site)
    name = kind if kind in found else chooser.choice(sorted(found))
    with contextlib.suppress(psutil.Error):
        chooser.choice(found[name]).kill()
    return name


def kill_site(site: DeployedSite) -> None:
    """Kill every process of a site at once, as a power cut does."""
    # The supervisor first: otherwise it would start the others again.
    notes = read_notes(Layout.of(site.settings))
    if notes is None:
        return
    with contextlib.suppress(psutil.Error):
        members = [psutil.Process(notes.supervisor)]
        for child in members[0].children():
            with contextlib.suppress(psutil.Error):
                members += [child, *child.children(recursive=True)]
                # Processes whose parents have ended are not below the supervisor any more.
                members += list(family(child.environ().get(TAG, "")))
        for process in dict.fromkeys(members):
            with contextlib.suppress(psutil.Error):
                process.kill()


def bring_back(
    site: DeployedSite,
    clock: Clock | None = None,
    within: float = 60.0,
    restored: bool = False,
) -> None:
    """Bring a killed site up again, within ``within`` seconds, with its own clock if it has one.

    ``restored`` is the operator's word that the site is a copy of one that is gone.
    """
    # The start is refused until the last killed process has released its locks.
    until = time.monotonic() + within
    while True:
        try:
            config = prepare(site.folder, restored)
            with clock.of(site.vendor) if clock is not None else contextlib.nullcontext():
                start_detached(config, site.folder)
            return
        except SrflmError:
            if time.monotonic() > until:
                raise
            time.sleep(1.0)


@contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    """Stop processes (SIGSTOP) while the block runs."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)


def freeze(site: DeployedSite, seconds: float) -> None:
    """Stop every process of a site for some seconds, like a suspended virtual machine."""
    everything = [each for group in processes_of(site).values() for each in group]
    with stopped(everything):
        time.sleep(seconds)


def cut_off(site: DeployedSite, seconds: float) -> None:
    """Cut a site off for some seconds: packets vanish in both directions."""
    # A stopped nginx keeps its connections open and does not answer, unlike a killed one.
    with stopped(processes_of(site).get("edge", [])):
        time.sleep(seconds)


def fill_disk(folder: Path, seconds: float) -> None:
    """Leave no byte free on the file system of ``folder`` for some seconds."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            # Unbuffered: the last write fills the rest, and the next one raises OSError.
            while file.write(b"\0" * 65_536):
                pass
        time.sleep(seconds)
    finally:
        filler.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """Mount a small file system on ``folder``, and give whether this user was allowed to."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)  # -l: files may be open
