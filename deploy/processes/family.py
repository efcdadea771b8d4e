"""Families of programs: each can be found again, with all its descendants, and ended for certain.

A tag in the environment, which all descendants inherit, marks a family.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import psutil

# Flower and Ray detach some of their processes, so only the environment finds them all: a parent's
# id or a process group does not.
TAG = "SRFLM_PROCESS_FAMILY"
PATIENCE_SECONDS = 5.0
GIVE_UP_SECONDS = 30.0
LONGEST_TEMPORARY = 20
"""Characters.  Ray's sockets add 81 to this path; macOS allows a socket's path at most 103."""


@dataclass
class ProcessFamily:
    """Programs that carry one tag, and a scratch folder of theirs."""

    tag: str
    scratch: Path
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        folder: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start ``command`` in ``folder`` as a member of the family; its output goes to ``log``."""
        self.children = [child for child in self.children if child.poll() is None]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            child = subprocess.Popen(
                command,
                env={**environment, TAG: self.tag},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.children.append(child)
        return child


def family(tag: str) -> set[psutil.Process]:
    """Return the processes of this user that carry ``tag``, and their descendants."""
    # A program that changes its title, as Ray's do, overwrites its environment, so its tag is gone:
    # it is found through its parent.
    members: set[psutil.Process] = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get(TAG) == tag:
                members |= {process, *process.children(recursive=True)}
        except (psutil.Error, OSError):  # gone, or somebody else's
            continue
    return {process for process in members if process.pid != os.getpid()}


def end_family(tag: str) -> None:
    """End every process of the family: ask first, kill after ``PATIENCE_SECONDS``.

    Give up after ``GIVE_UP_SECONDS``.
    """
    asked: set[psutil.Process] = set()
    start = time.monotonic()
    while members := {each for each in family(tag) | asked if is_alive(each)}:
        if time.monotonic() > start + GIVE_UP_SECONDS:
            return  # a process that waits for a dead disk survives even a kill
        for process in members:
            try:
                if time.monotonic() > start + PATIENCE_SECONDS:
                    process.kill()
                elif process not in asked:
                    process.terminate()
            except psutil.NoSuchProcess:
                continue
        asked |= members
        psutil.wait_procs(members, timeout=0.3)


def kill_all(processes: Sequence[psutil.Process], patience: float) -> None:
    """Kill processes and wait for at most ``patience`` seconds until they are gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=patience)


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def process_family(environment: Mapping[str, str], log: Path) -> Iterator[ProcessFamily]:
    """Give a family; end it and delete its scratch folder when the block is left.

    Both happen however this process ends, even by ``kill -9``.  ``environment`` and ``log`` are
    those of the watchdog that sees to it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        members = ProcessFamily(uuid.uuid4().hex, make_scratch())
        # It acts when the pipe between it and this process closes, which no end can prevent.
        watchdog = _start_watchdog(members, environment, output, log)
    try:
        yield members
    finally:
        if not _has_cleaned(watchdog):  # somebody killed it
            end_family(members.tag)
            shutil.rmtree(members.scratch, ignore_errors=True)
        for child in members.children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(PATIENCE_SECONDS)


def make_scratch() -> Path:
    """Make a folder for temporary files, in /tmp if the usual place has too long a path."""
    deep = len(tempfile.gettempdir()) > LONGEST_TEMPORARY
    folder = "/tmp" if deep and os.access("/tmp", os.W_OK | os.X_OK) else None
    return Path(tempfile.mkdtemp(prefix="srflm-", dir=folder))


def _start_watchdog(
    members: ProcessFamily, environment: Mapping[str, str], output: BinaryIO, log: Path
) -> subprocess.Popen[bytes]:
    """Start :mod:`deploy.processes.watchdog` for a family."""
    # -P: a folder `deploy` in the user's working folder must not be imported in place of ours.
    command = [sys.executable, "-P", "-m", "deploy.processes.watchdog"]
    return subprocess.Popen(
        [*command, members.tag, str(members.scratch), str(log)],
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _has_cleaned(watchdog: subprocess.Popen[bytes]) -> bool:
    """Close the watchdog's pipe and wait; return whether it has ended the family."""
    assert watchdog.stdin is not None
    watchdog.stdin.close()
    try:
        return watchdog.wait(2 * GIVE_UP_SECONDS) == 0
    except subprocess.TimeoutExpired:
        watchdog.kill()
        return False
