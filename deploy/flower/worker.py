"""Run the warm worker of a site: ``python -P -m deploy.flower.worker CONFIG.json``.

Stock Flower starts a new Python for every message, and importing torch takes longer than most
messages. This process imports torch and prepares the site's data once, and forks a child per task.
A child has both in memory already, and nothing of a task outlives it.
"""

from __future__ import annotations

import gc
import importlib
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clients.files.event_log import EventLog
from deploy.flower.nouns import FlowerTask, Kind
from deploy.flower.pins import require_supported
from deploy.flower.supernodes_config import WORKER_BELL, Sha256
from deploy.processes.bell import Bell
from deploy.processes.children import (
    Child,
    end_children,
    fork_child,
    importing_without_threads,
    take_ended,
    threads,
)
from deploy.processes.company import Company
from deploy.processes.config import Strict, load_config
from deploy.processes.pace import MIN_SECONDS, pause, rest
from deploy.processes.private import keep_private
from strategies.errors import ConfigurationError, SrflmError

if TYPE_CHECKING:
    from deploy.flower.internals import RuntimeApi

MAX_SECONDS = 2.0  # longest wait between two calls for tasks
FLOWERS_OWN = (
    "deploy.flower.internals",
    "flwr.supernode.runtime.run_clientapp",
    "flwr.superlink.runtime.run_serverapp",
)

ALL_SECONDS = MAX_SECONDS
"""Between two looks at all sources, whatever their bells say."""
FRESH_SECONDS = 1.0
"""How long a source is asked again after its bell was rung, if it has no task yet."""


class Source(Strict):
    """A source of tasks: the site's own SuperLink (``server``) or a SuperNode (``client``)."""

    kind: Kind
    address: str
    root_certificate: Path | None = None  # None: the connection is not encrypted
    bell: str | None = None  # rung for its tasks; None: it is asked at every look


class WorkerConfig(Strict):
    """The configuration of ``deploy.flower.worker``."""

    sources: tuple[Source, ...]
    bells: Path
    log: Path  # one JSON line per task
    agreed_bundles: tuple[Sha256, ...]
    app: Path | None = None  # folder of the bundle to install once, before the first task
    secret: Path | None = None
    preload: tuple[str, ...] = ()  # modules to import, ``torch`` first
    # Libraries that these do not find, as if they were not installed: what imports them only for
    # functions that no task calls, as MONAI does, must not keep them in memory.
    hidden: tuple[str, ...] = ()
    # ``module:function`` to call once; children inherit its data in memory. It must not use CUDA,
    # which does not work in a forked child.
    prepare: str | None = None
    threads: int | None = None  # torch's threads in a child; None: torch's own default


@dataclass
class Worker:
    """Asks for tasks, and forks a child for each."""

    sources: list[RuntimeApi]
    bell: Bell
    log: EventLog
    agreed: Collection[str]
    before_task: Callable[[], None]
    needed: Callable[[], bool] = lambda: True
    bells: Mapping[RuntimeApi, Bell] = field(default_factory=dict)
    stopping: bool = False
    _running: dict[tuple[RuntimeApi, FlowerTask, float], Child] = field(default_factory=dict)
    _problems: dict[str, str] = field(default_factory=dict)
    _active: float = field(default_factory=time.time)
    _asked_all: float = -ALL_SECONDS
    _served: dict[RuntimeApi, float] = field(default_factory=dict)

    def work(self) -> None:
        """Serve until :attr:`stopping` or not needed any more, then end the children."""
        try:
            while not self.stopping and (self._running or self.needed()):
                heard = self.bell.last_rung()
                taken = [self._ask(source) for source in self._worth_asking()]
                if not any(taken):
                    self._rest(heard)
                self._reap()
        finally:
            end_children(self._running, self._reap)

    def _worth_asking(self) -> list[RuntimeApi]:
        """Return the sources whose bell was rung, and now and then all: a look costs CPU time."""
        now = time.monotonic()
        if now - self._asked_all >= ALL_SECONDS:
            self._asked_all = now
            return self.sources
        return [
            source
            for source in self.sources
            if source not in self.bells
            or self.bells[source].rung_since(self._served.get(source, 0.0))
        ]

    def _ask(self, source: RuntimeApi) -> bool:
        """Take a task from ``source``, if it has one; note that its bell has been served."""
        bell = self.bells.get(source)
        rung = bell.last_rung() if bell is not None else 0.0
        taken = self._take(source)
        # The bell may be heard a moment before the task can be taken.  A ring of the future, after
        # a clock was set back, is an old one.
        if not taken and not 0 <= time.time() - rung < FRESH_SECONDS:
            self._served[source] = rung
        return taken

    def _rest(self, heard: float) -> None:
        """Wait for the bell, the end of a child, or the time to ask again."""
        # Four times as patient as a SuperNode: the bell rings for every message.
        since = 4 * (time.time() - max(self._active, heard))
        seconds = pause(since, MIN_SECONDS, MAX_SECONDS)
        rest(seconds, lambda: self.stopping or self.bell.rung_since(heard) or self._reap())

    def _take(self, source: RuntimeApi) -> bool:
        """Take a task from ``source`` and fork a child for it; return whether there was one."""
        task = source.acquire()
        # A problem is logged when it changes, not at every call.
        if source.problem != self._problems.get(source.address, ""):
            self._problems[source.address] = source.problem
            self.log("source", address=source.address, problem=source.problem)
        if task is None:
            return False
        self._active = time.time()
        child = fork_child(lambda: self._run(source, task))
        self._running[source, task, time.monotonic()] = child
        return True

    def _run(self, source: RuntimeApi, task: FlowerTask) -> None:
        """Run the task in the child."""
        self.before_task()
        source.run_task_in_this_process(task, self.agreed)

    def _reap(self) -> bool:
        """Log the children that have ended; return whether there were any."""
        ended = take_ended(self._running)
        for (source, task, start), code in ended:
            self.log(
                "task",
                type=task.kind,
                run=task.run_id,
                address=source.address,
                seconds=round(time.monotonic() - start, 3),
                exit=code,
            )
            self._active = time.time()
        return bool(ended)


def warm_up(config: WorkerConfig) -> Callable[[], None]:
    """Import and prepare as configured; return the function that a child calls before its task.

    Raises :class:`ConfigurationError` if threads are running or CUDA is in use afterwards.
    """
    usual = None
    with importing_without_threads():
        for name in (*config.preload, *FLOWERS_OWN):
            with hidden(config.hidden if name in config.preload else ()):
                _import(name)
            torch: Any = sys.modules.get("torch")
            if torch is not None and usual is None:
                usual = torch.get_num_threads()
                torch.set_num_threads(1)  # the preparation must leave no threads behind
        if config.prepare is not None:
            module, _, function = config.prepare.partition(":")
            getattr(_import(module), function)()
    _require_forkable()

    def before_task() -> None:
        if usual is not None:
            sys.modules["torch"].set_num_threads(config.threads or usual)

    return before_task


@contextmanager
def hidden(libraries: Collection[str]) -> Iterator[None]:
    """Let no import in this block find ``libraries``, but for those that are loaded already."""
    unseen = [name for name in libraries if name not in sys.modules]
    # None is the import system's own word for a module that is not to be found.
    sys.modules.update(dict.fromkeys(unseen))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in unseen:
            del sys.modules[name]


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f"module {name!r}: {error}", "modules that can be imported", "correct `preload`"
        ) from error


def _require_forkable() -> None:
    # Threads would leave locked locks in a forked child, and CUDA refuses to work there.
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        raise ConfigurationError(
            "CUDA in use before the first task", "data prepared on the CPU", "correct `prepare`"
        )
    if (found := threads()) > 1:
        raise ConfigurationError(
            f"{found} threads after the preload",
            "one, as a child gets a copy of the locks but not of the threads",
            "leave out the module or the preparation that starts them",
        )


def main() -> None:
    """Read the configuration, warm up, and serve tasks until SIGTERM."""
    keep_private()
    try:
        config = load_config(WorkerConfig, Path(sys.argv[1]))
        config.bells.mkdir(parents=True, exist_ok=True)
        config.log.parent.mkdir(parents=True, exist_ok=True)
        before_task = warm_up(config)
        require_supported()
        from deploy.flower.internals import RuntimeApi, install_bundle  # without threads by now

        if config.app is not None:
            install_bundle(config.app, config.agreed_bundles)
    except SrflmError as error:
        sys.exit(str(error))
    sources = [
        RuntimeApi(each.address, each.kind, each.root_certificate, config.secret)
        for each in config.sources
    ]
    bell, log = Bell(config.bells / WORKER_BELL), EventLog(config.log)
    company = Company(config.bells)
    needed = partial(company.needs, (WORKER_BELL,), time.time())
    bells = {
        source: Bell(config.bells / each.bell)
        for source, each in zip(sources, config.sources, strict=True)
        if each.bell is not None
    }
    worker = Worker(sources, bell, log, config.agreed_bundles, before_task, needed, bells)

    def stop(_number: int, _frame: object) -> None:
        worker.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log("worker-ready", sources=[each.address for each in sources], threads=threads())
    gc.collect()
    gc.freeze()  # otherwise each child's collector writes to shared pages, and so copies them
    worker.work()


if __name__ == "__main__":
    main()
