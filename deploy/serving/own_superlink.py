"""The launcher's view of its site's own SuperLink: register peers, start and stop ServerApps."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import httpx

from deploy.door.door import Door
from deploy.flower.control import Control
from deploy.flower.supernodes_config import OWN_RUN, WORKER_BELL
from deploy.processes.bell import Bell
from deploy.processes.config import load_config
from deploy.processes.supervisor import ProcessTable
from deploy.serving.job import JobOutcome, ServerJob, lock_path, read_outcome, was_abandoned
from deploy.serving.launcher_config import LauncherConfig
from deploy.site.layout import Layout
from strategies.errors import SrflmError

READY_SECONDS = 120.0
RETRY_SECONDS = 0.3
AGAIN_SECONDS = 2.0
"""Between two knocks for a ServerApp that has not begun."""


class OwnSuperLink:
    """Implements :class:`deploy.serving.runs.Runs` on the local Control API."""

    def __init__(self, config: LauncherConfig) -> None:
        self._config = config
        self._control = Control(config.superlink, config.root_certificate)
        self._bundle = config.bundle.read_bytes()
        self.door = Door(config.ways_out, config.root_certificate)
        self._process: int | None = None
        self._called: tuple[str, Collection[str]] = ("", ())  # a task, and who is to connect for it
        self._called_at = 0.0

    def prepare(self, stopping: Callable[[], bool]) -> None:
        """Wait for the SuperLink, register the members' SuperNodes, stop an old launcher's runs.

        Raises :class:`TimeoutError` if the SuperLink does not answer in time.
        """
        until = time.monotonic() + READY_SECONDS
        while not stopping():
            try:
                process = self._process_now()
                self.register()
                # An old run would compete with this launcher's, and no launcher follows it.
                for run in self._control.runs():
                    if not run.finished:
                        self._control.stop_run(run.run_id)
                self._process = process
                return
            except httpx.HTTPError as error:
                if time.monotonic() > until:
                    raise TimeoutError("the own SuperLink does not answer") from error
                time.sleep(RETRY_SECONDS)

    def was_restarted(self) -> bool:
        """Return whether the SuperLink has another process than at :meth:`prepare`."""
        # A SuperLink keeps nothing on disk, so a new process knows no member's node.
        process = self._process_now()
        return process is not None and process != self._process

    def _process_now(self) -> int | None:
        try:
            notes = ProcessTable.model_validate_json(self._config.notes.read_bytes())
        except (OSError, ValueError):
            return None
        return notes.programs.get("superlink")

    def register(self) -> None:
        """Register every member's node key, unless it is registered already."""
        for vendor, key in self._config.node_keys.items():
            self._control.register_node(key, vendor)

    def start(self, task: ServerJob, doubted: Collection[str] = ()) -> int:
        """Start a run of the ServerApp with ``task``; raise RuntimeError if that fails.

        The others are asked to connect, where they are not connected or are ``doubted``.
        """
        try:
            registered, online = self._control.node_ids()
            members = self._config.node_keys.keys()
            everyone = members <= online.keys() and not doubted
            update: dict[str, object] = {"registered": registered}
            if everyone and task.kind == "serve" and task.attempt == 0:
                # With all nodes' ids in its task, an elected server can train at once, without a
                # round of questions.
                update["nodes"] = online
            else:
                update |= self._gather(members, doubted)
            task = task.model_copy(update=update)
            self._called, self._called_at = (task.name, task.expected), time.monotonic()
            run = self._control.start_run(self._bundle, {"task": task.model_dump_json()})
        except (httpx.HTTPError, SrflmError) as error:
            raise RuntimeError(str(error)) from error
        self._ring_worker()  # otherwise the worker polls up to 2 s later
        return run

    def _ring_worker(self) -> None:
        for name in (OWN_RUN, WORKER_BELL):
            Bell(self._config.bells / name).ring()

    def _gather(self, members: Collection[str], doubted: Collection[str]) -> dict[str, object]:
        """Ask all sites to connect; return whom to expect, and whom to leave out, for a task."""
        reached = self._call(members)
        expected = (self._config.vendor, *sorted(reached))
        return {"expected": expected, "gone": tuple(sorted({*doubted} - reached))}

    def _call(self, members: Collection[str]) -> frozenset[str]:
        """Ask sites to connect; return those of the others whose edges have answered."""
        own = self._config.vendor
        Bell(self._config.bells / own).ring()  # the own SuperNode, which passes no edge
        return self.door.knock([member for member in members if member != own])

    def _call_again(self, task: str) -> None:
        """Ask again whom ``task`` expects, until its ServerApp has begun, and a last time then."""
        # The own worker may take longer to start than the others wait for a message.
        called, members = self._called
        if called != task or time.monotonic() - self._called_at < AGAIN_SECONDS:
            return
        if lock_path(self._config.run, task).exists():
            self._called = ("", ())
        self._call(members)
        self._called_at = time.monotonic()

    def ended(self, run: int, task: str) -> bool:
        """Return whether a run has ended, for any reason, or its process is gone."""
        # Flower notices a killed ServerApp only after a minute; its lock tells at once.
        if was_abandoned(self._config.run, task):
            return True
        try:
            found = self._control.runs(run)
        except httpx.HTTPStatusError:
            return True  # a restarted SuperLink does not know the run
        except httpx.HTTPError:
            return False  # a missing answer says nothing about the run
        ended = not found or found[0].finished
        if not ended:
            self._ring_worker()  # nobody else does, if it ended before it took the run
            self._call_again(task)
        return ended

    def stop(self, run: int) -> None:
        """End a run; do nothing if it has ended already or the SuperLink does not answer."""
        try:
            self._control.stop_run(run)
        except httpx.HTTPError:
            return

    def outcome(self, task: str) -> JobOutcome | None:
        """Return the outcome of a task, or None if there is none yet."""
        return read_outcome(self._config.run, task)

    def nodes(self) -> dict[str, str]:
        """Return vendor → status of its SuperNode; raise httpx.HTTPError without an answer."""
        return self._control.nodes()


def own_superlink(layout: Layout) -> OwnSuperLink:
    """Return the SuperLink of a site, from the files of its last start.

    Raises :class:`SrflmError` or :class:`OSError` if these files are missing.
    """
    return OwnSuperLink(load_config(LauncherConfig, layout.config("launcher")))


def peers_at(layout: Layout, peers: Collection[str]) -> dict[str, str]:
    """Return peer → ``online``, ``reachable``, or ``silent``; empty if the site is not whole yet.

    A peer need not be connected: it connects when it may be needed soon.
    """
    try:
        superlink = own_superlink(layout)
        nodes = superlink.nodes()
    except (httpx.HTTPError, SrflmError, OSError):
        return {}
    reached = superlink.door.look_at(peers)
    answers = {True: "reachable", False: "silent"}
    return {p: "online" if nodes.get(p) == "online" else answers[p in reached] for p in peers}
