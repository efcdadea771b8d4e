"""Forked children with their own log and default signal handlers; they end with their parent.

A child whose parent has died is asked to end, and ended by force after ``GOODBYE_SECONDS``.
"""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from deploy.processes.mortal import die_with

LOOK_SECONDS = 1.0
GOODBYE_SECONDS = 8.0
IMPORTING = {"OPENBLAS_NUM_THREADS": "1", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
OWN_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD)
Key = TypeVar("Key")


class Child(Protocol):
    """A child of this process: a forked one, or a ``subprocess.Popen``."""

    pid: int

    def poll(self) -> int | None:
        """Return its exit code (minus the number of a signal), or None as long as it runs."""
        ...


@dataclass
class Forked:
    """A child that :func:`fork_child` has made, by its process id."""

    pid: int
    _code: int | None = None

    def poll(self) -> int | None:
        """Return its exit code (minus the number of a signal), or None as long as it runs."""
        if self._code is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if ended else None
        return self._code


def fork_child(work: Callable[[], object], log: Path | None = None) -> Forked:
    """Run ``work`` in a child; its output goes to ``log`` if given.

    The caller should have one thread only: a lock that another thread holds at the fork stays
    locked in the child for ever.
    """
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal between the fork and the reset would run the parent's handler in the child.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, OWN_SIGNALS)
    child = os.fork()
    if child == 0:
        _live(work, log, parent, blocked)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    return Forked(child)


def take_ended(running: dict[Key, Child]) -> list[tuple[Key, int]]:
    """Take the children that have ended out of ``running``; return their keys and exit codes."""
    codes = [(key, child.poll()) for key, child in running.items()]
    ended = [(key, code) for key, code in codes if code is not None]
    for key, _ in ended:
        del running[key]
    return ended


def end_children(running: Mapping[Key, Child], reap: Callable[[], object]) -> None:
    """Ask the children in ``running`` to end; kill those that still run after ``GOODBYE_SECONDS``.

    ``reap`` takes those that have ended, and only those, out of ``running``.
    """
    deadline = time.monotonic() + GOODBYE_SECONDS
    for number, until in ((signal.SIGTERM, deadline), (signal.SIGKILL, math.inf)):
        for child in running.values():
            os.kill(child.pid, number)  # not reaped yet: the id is nobody else's
        while running and time.monotonic() < until:
            reap()
            time.sleep(0.05)


def importing_without_threads() -> AbstractContextManager[None]:
    """Keep imports in this block from starting threads and from initialising CUDA."""
    # OpenBLAS starts its threads when numpy is imported.  A process that has asked CUDA for the
    # number of devices cannot fork children that use a device.
    return environment_with(IMPORTING)


@contextmanager
def environment_with(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process's environment for the block; then put back the old values."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def threads() -> int:
    """Return how many threads this process has, those of libraries included where /proc says."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except FileNotFoundError:
        return threading.active_count()


def _live(
    work: Callable[[], object], log: Path | None, parent: int, blocked: set[int | signal.Signals]
) -> None:
    """Run ``work`` as the child; never return into the parent's code, even after an error."""
    code = 1
    try:
        for number in OWN_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        _die_with(parent)
        if log is not None:
            _write_to(log)
        _forget_the_parents_chance()
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)  # no clean-up of what belongs to the parent


def _die_with(parent: int) -> None:
    """End this process when ``parent`` ends; it may have ended already."""
    die_with(parent)  # on Linux, where the kernel is quicker than the thread
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)  # asked first: it signs off from its server
    time.sleep(GOODBYE_SECONDS)
    os._exit(1)


def _write_to(log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)


def _forget_the_parents_chance() -> None:
    """Seed all random generators again."""
    # Children of one parent must not draw the same numbers, above all not the same privacy noise.
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()
