"""Run all SuperNodes of a site: ``python -P -m deploy.flower.supernodes CONFIG.json``.

There is one child process for each peer that is wanted (:mod:`deploy.processes.company`), with the
stock SuperNode behind the guard of :mod:`deploy.flower.internals`. A child whose peer is no longer
wanted ends by itself; another that ends is started again; all end with this process. It ends when
there is neither a child nor a reason for one, and its supervisor starts it when a peer knocks.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from clients.files.event_log import EventLog
from deploy.flower.bundle_guard import BundleGuard
from deploy.flower.nouns import Hooks
from deploy.flower.pins import require_supported
from deploy.flower.size_guard import SizeGuard
from deploy.flower.supernodes_config import (
    LOOPBACK,
    WORKER_BELL,
    Link,
    SupernodesConfig,
    message_bell,
)
from deploy.processes.bell import Bell
from deploy.processes.children import (
    GOODBYE_SECONDS,
    Forked,
    end_children,
    fork_child,
    importing_without_threads,
)
from deploy.processes.company import Company, asked_at
from deploy.processes.config import load_config
from deploy.processes.keeping import KeptChildren
from deploy.processes.pace import pause, rest
from deploy.processes.private import keep_private
from strategies.errors import SrflmError

# Imported once before the forks, so that the children share this memory.  Each module that a
# SuperNode imports itself is in memory once for each peer.
NEEDED_BY_ALL = (
    "deploy.flower.internals",
    "flwr.supernode.main",
    "flwr.supernode.cli.flower_supernode",
    "flwr.supernode.runtime.run_clientapp",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "uvicorn.lifespan.on",
    "httpcore",
    "h11",
    "cryptography.hazmat.backends.openssl.backend",
)
WHERE_INSTALLED = ("uvicorn.loops.uvloop",)
LOOK_SECONDS = 0.1  # between two looks for ended children
MIN_REPLY_SECONDS, MAX_REPLY_SECONDS = 0.02, 0.5
ASK_SECONDS, ASK_FASTER = 1.0, 3
"""The shortest pause between two questions for messages that no bell has announced; and how much
sooner than others these pauses reach the longest, as a bell announces most messages."""
QUICKEST_SECONDS = 0.1
"""Between two questions, however often a member knocks: each costs this site CPU time."""
REMIND_SECONDS = 5.0
"""Between two rings for a message that has no reply yet: its worker may have ended meanwhile."""


@dataclass
class Keeper:
    """Keeps one child alive for each link that is wanted.

    It was ``asked`` for when the first bell was heard, and could do nothing until it was ``ready``.
    """

    config: SupernodesConfig
    asked: float
    ready: float = field(default_factory=time.time)
    stopping: bool = False

    def keep(self) -> None:
        """Start wanted children, and restart those that end; end when there is nothing to keep.

        When :attr:`stopping`, end all.
        """
        links = {link.peer: link for link in self.config.links}
        company = Company(self.config.bells)
        children = KeptChildren(
            (), lambda peer: self._start(links[peer]), _print_end, may_end=links
        )
        try:
            # Bells are looked at before each decision to end: a knock before it starts a child, and
            # one after it lets the supervisor start this program again.
            while not self.stopping and (children.running or company.needs(links, self.ready)):
                children.names = company.wanted(links, self.asked, self.ready)
                children.tend()
                time.sleep(LOOK_SECONDS)
        finally:
            end_children(children.running, children.note_ends)

    def _start(self, link: Link) -> Forked:
        child = fork_child(partial(serve, self.config, link), link.log)
        print(f"supernode for {link.peer}: process {child.pid}", flush=True)
        Bell(self.config.bells / WORKER_BELL).ring()  # which takes longer to start
        return child


def _print_end(peer: str, code: int, wait: float) -> None:
    print(f"supernode for {peer} ended ({code}); again in {wait} s", flush=True)


def serve(config: SupernodesConfig, link: Link) -> None:
    """Run the SuperNode of one link in this process; it ends with SystemExit."""
    from deploy.flower.internals import run_supernode  # imported before the fork, without threads

    refusals = EventLog(config.refusals)
    guard = BundleGuard(
        config.agreed_bundles,
        lambda run, found: refusals("bundle-refused", peer=link.peer, run=run, found=found),
        config.settings,
    )
    size = SizeGuard(
        config.largest_message,
        lambda run, found: refusals("message-too-large", peer=link.peer, run=run, found=found),
    )
    note = config.notes / link.peer
    run_supernode(options(config, link), guard, hooks(config, link), note, size)


def hooks(config: SupernodesConfig, link: Link, clock: Callable[[], float] = time.time) -> Hooks:
    """Return this SuperNode's hooks, which wait for its bell and longer the quieter the peer is."""
    # The serving site rings for each message (deploy.serving.ringing), and the own one when a peer
    # is about to serve, so that a SuperNode need not ask often in between.
    own, message = Bell(config.bells / link.peer), Bell(config.bells / message_bell(link.peer))
    worker = Bell(config.bells / WORKER_BELL)
    company = Company(config.bells, clock)
    last_message = asked = reminded = clock()
    heard, questioned = own.last_rung(), 0.0

    def tell_worker() -> None:
        message.ring()  # first: a worker that wakes up looks whose message it is
        worker.ring()

    def on_message() -> None:
        nonlocal last_message, asked, reminded
        last_message = asked = reminded = clock()
        tell_worker()

    def idle() -> None:
        nonlocal heard, questioned
        if not company.wants(link.peer, last_message):
            os.kill(os.getpid(), signal.SIGTERM)  # Flower signs off from the SuperLink, and ends
            time.sleep(GOODBYE_SECONDS)
        seconds = pause(ASK_FASTER * (clock() - max(last_message, heard)), ASK_SECONDS)
        # Since the last rest, not since now: the bell may have rung after the last question.
        if rest(seconds, lambda: own.rung_since(heard)):
            left = questioned + QUICKEST_SECONDS - clock()
            time.sleep(min(max(left, 0.0), QUICKEST_SECONDS))
        heard, questioned = own.last_rung(), clock()

    def waiting() -> None:
        nonlocal last_message, reminded
        last_message = clock()  # the peer waits: it is no quiet one
        if abs(last_message - reminded) > REMIND_SECONDS:
            reminded = last_message
            tell_worker()
        time.sleep(pause(clock() - asked, MIN_REPLY_SECONDS, MAX_REPLY_SECONDS))

    return Hooks(on_message, idle, waiting)


def options(config: SupernodesConfig, link: Link) -> list[str]:
    """Return the command line options of the stock SuperNode for a link."""
    given = {
        "--superlink": link.superlink,
        "--root-certificates": link.root_certificates,
        "--auth-supernode-private-key": link.private_key,
        "--host": LOOPBACK,
        "--port": link.port,
        "--isolation": config.isolation,
        "--node-config": f'peer="{link.peer}"',
    }
    if config.tls is not None:
        given |= {
            "--ssl-certfile": config.tls.certificate,
            "--ssl-keyfile": config.tls.key,
            "--ssl-ca-certfile": config.tls.root,
        }
    if config.secret is not None and config.isolation == "process":
        given["--superexec-auth-secret-file"] = config.secret
    return [str(each) for pair in given.items() for each in pair]


def main() -> None:
    """Read the configuration, import Flower once, and keep the SuperNodes until SIGTERM."""
    keep_private()
    asked = asked_at()
    try:
        config = load_config(SupernodesConfig, Path(sys.argv[1]))
        config.bells.mkdir(parents=True, exist_ok=True)
        Bell(config.bells / WORKER_BELL).ring()  # which takes longer to start: both at a time
        with importing_without_threads():
            for name in NEEDED_BY_ALL:
                importlib.import_module(name)
            for name in WHERE_INSTALLED:
                with suppress(ImportError):
                    importlib.import_module(name)
        require_supported()
    except SrflmError as error:
        sys.exit(str(error))
    for folder in (config.notes, config.refusals.parent):
        folder.mkdir(parents=True, exist_ok=True)
    keeper = Keeper(config, asked)

    def stop(_number: int, _frame: object) -> None:
        keeper.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    gc.collect()
    gc.freeze()  # otherwise each child's collector writes to shared pages, and so copies them
    keeper.keep()


if __name__ == "__main__":
    main()
