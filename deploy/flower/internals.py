"""A deployed site's uses of Flower's non-public interfaces, for ``flwr==1.42.*``.

A stock SuperNode runs every bundle that a SuperLink hands it, polls every three seconds, and starts
a new Python for each message. This module changes that:

* :func:`run_supernode`: the stock SuperNode in this process, with a guard and its own pace;
* :class:`RuntimeApi`: takes tasks and runs them in this process, for use by forks of a warm one;
* :func:`bundle_of`: the bundle of an app folder and the hash on which all sites agree.

:mod:`deploy.flower.pins` refuses any other version of Flower. A site can run without the warm
worker, as stock Flower does (``isolation = "subprocess"``), but never without the guard.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
from flwr.app import Error
from flwr.cli.build import build_fab_from_disk
from flwr.cli.config_utils import get_fab_metadata
from flwr.cli.install import install_from_fab
from flwr.common.constant import ErrorCode
from flwr.proto import fleet_pb2, runtime_pb2
from flwr.supercore.auth import load_superexec_auth_secret
from flwr.supercore.constant import TaskType
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.logger import mirror_output_to_queue
from flwr.supercore.run import Run, RunNotRunningException
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.utils import get_flwr_home
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from clients.files.locks import locked
from deploy.flower import pins
from deploy.flower.bundle_guard import BundleGuard, installing_only
from deploy.flower.nouns import FlowerTask, Hooks, Kind
from deploy.flower.size_guard import SizeGuard
from deploy.flower.waits import Waits, ask_for_objects_often
from strategies.errors import BundleRefused, ConfigurationError

CRASHED = Error(ErrorCode.CLIENT_APP_CRASHED, "The ClientApp's process ended without a reply.")
ACQUIRE = "/flwr.proto.Runtime/AcquireTask"
LONGEST_RETRY_SECONDS = 3  # between calls of an unreachable SuperLink; in Flower it is twenty


def bundle_of(app_folder: Path) -> tuple[bytes, str]:
    """Return the Flower App Bundle of a folder, as ``flwr build`` makes it, and its SHA-256.

    The same folder gives the same bytes on every machine: files are stored without compression, in
    sorted order, with a fixed date. Raises :class:`ConfigurationError` for an invalid app.
    """
    try:
        # Flower names its file patterns in a way that a library has deprecated.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            content = build_fab_from_disk(app_folder)
    except (ValueError, OSError) as error:
        raise ConfigurationError(
            f"{app_folder}: {error}", "a folder with a Flower app", "`flwr build` says more"
        ) from error
    return content, hashlib.sha256(content).hexdigest()


def install_bundle(app_folder: Path, agreed: Collection[str]) -> None:
    """Unpack a folder's bundle; raise :class:`BundleRefused` if it is none of the agreed ones."""
    # Done before the first task, which then need not wait for it.
    installing_only(agreed, _alone(install_from_fab))(bundle_of(app_folder)[0], skip_prompt=True)


def _alone(install: Callable[..., Path]) -> Callable[..., Path]:
    """Return ``install`` for one process at a time: a second one would find half a folder."""

    def waiting(content: bytes, **options: Any) -> Path:
        home = get_flwr_home()
        home.mkdir(parents=True, exist_ok=True)
        with locked(home / "install.lock", wait=True):
            return install(content, **options)

    return waiting


def run_supernode(
    options: list[str],
    guard: BundleGuard,
    hooks: Hooks,
    note: Path | None = None,
    size: SizeGuard | None = None,
) -> None:
    """Run the stock ``flower-supernode`` with ``options`` in this process, until it exits.

    ``note`` is a file for the node's id; with it, a SuperNode first signs off its predecessor.
    Raises :class:`ConfigurationError` for another version of Flower, and SystemExit at the end.
    """
    pins.require_supported()
    # Flower has no options for these. Its loop looks the names up at each call, so replacing them
    # in the module is enough.
    loop: Any = importlib.import_module(pins.SUPERNODE_LOOP)
    retries: Any = importlib.import_module(pins.RETRIES)
    loop._init_connection = guarded(loop._init_connection, guard, hooks, note, size)
    loop.time = waits = Waits(hooks, CRASHED)
    loop._push_messages = waits.watching(loop._push_messages)
    retries.MAX_RETRY_DELAY = LONGEST_RETRY_SECONDS
    ask_for_objects_often(importlib.import_module(pins.OBJECTS))
    sys.argv = ["flower-supernode", *options]
    importlib.import_module(pins.SUPERNODE_MAIN).flower_supernode()


def guarded(
    connect: Callable[..., Any],
    guard: BundleGuard,
    hooks: Hooks,
    note: Path | None,
    size: SizeGuard | None = None,
) -> Callable[..., Any]:
    """Return ``connect``, which opens a SuperNode's connection to its SuperLink, with guards."""
    size = size or SizeGuard(None, lambda run, found: None)

    @contextmanager
    def connection(**options: Any) -> Iterator[tuple[Any, ...]]:
        if note is not None:
            # Otherwise the SuperLink rejects this node for a minute after a killed predecessor.
            _sign_off(note, options)
        with connect(**options) as (node, *calls):
            if tuple(call.__name__ for call in calls) != pins.CONNECTION:
                raise RuntimeError("the SuperNode's connection is not the expected one")
            call = dict(zip(pins.CONNECTION, calls, strict=True))
            receive, get_run, get_fab = call["receive"], call["get_run"], call["get_fab"]
            pull, confirm = call["pull_object"], call["confirm_message_received"]

            # Confirming is the last call for a message: it is complete, and the worker can begin.
            def confirm_and_tell(run_id: int, message: str) -> None:
                with _cleaned_up_when_over():
                    confirm(run_id, message)
                hooks.on_message()

            def receive_next() -> Any:
                size.begin()
                return receive()

            def pull_object(run_id: int, name: str) -> bytes:
                with _cleaned_up_when_over():
                    part: bytes = pull(run_id, name)
                size.count(run_id, len(part))  # part by part, before the whole fills the memory
                return part

            def get_agreed_run(run_id: int) -> Run:
                run = get_run(run_id)
                with _ignored_when_refused():
                    guard.check_run(run)
                return run  # type: ignore[no-any-return]

            def get_agreed_bundle(name: str, run_id: int) -> Fab:
                fab = get_fab(name, run_id)
                with _ignored_when_refused():
                    guard.check_bundle(run_id, fab.content, fab.hash_str, get_fab_metadata)
                return fab  # type: ignore[no-any-return]

            call["get_run"], call["get_fab"] = get_agreed_run, get_agreed_bundle
            call["receive"] = receive_next
            call["pull_object"], call["confirm_message_received"] = pull_object, confirm_and_tell
            if note is not None:
                note.write_text(str(node), encoding="ascii")
            yield (node, *call.values())

    return connection


@contextmanager
def _cleaned_up_when_over() -> Iterator[None]:
    """Make the loop clean up if a message's run ends while the message is received."""
    # Flower's loop cleans up after other exceptions, but not after `RunNotRunningException`. Then
    # the message stays in the queue, and every later reply goes to the wrong message.
    try:
        yield
    except RunNotRunningException as over:
        raise RuntimeError("the run is over") from over


@contextmanager
def _ignored_when_refused() -> Iterator[None]:
    """Turn a refusal into the exception that makes the SuperNode's loop drop the message."""
    try:
        yield
    except BundleRefused as refusal:
        raise RunNotRunningException from refusal


def _sign_off(note: Path, options: Mapping[str, Any]) -> None:
    """Tell the SuperLink that the node in ``note`` is gone; ignore any failure."""
    if not note.exists() or options["authentication_keys"] is None:
        return
    with suppress(httpx.HTTPError, ValueError):
        node = int(note.read_text(encoding="ascii"))
        signed = NodeAuthHttpInterceptor(*options["authentication_keys"])
        with FleetHttpClient.from_server_address(
            options["server_address"],
            options["insecure"],
            options["root_certificates"],
            [RuntimeVersionHttpInterceptor("SuperNode"), signed],
        ) as client:
            client.DeactivateNode(fleet_pb2.DeactivateNodeRequest(node_id=node))


TYPES: dict[Kind, str] = {"client": TaskType.CLIENT_APP.value, "server": TaskType.SERVER_APP.value}


class RuntimeApi:
    """The source of tasks: the site's own SuperLink (``server``) or a SuperNode (``client``).

    Without a root certificate the connection is not encrypted; use that on the loopback interface
    only. ``secret`` is the program's file for --superexec-auth-secret-file.
    """

    def __init__(
        self, address: str, kind: Kind, root_certificate: Path | None, secret: Path | None = None
    ) -> None:
        self.address, self.kind = address, kind
        self.problem = ""  # the reason why the last call failed, or ""
        self._root = root_certificate.read_bytes() if root_certificate else None
        interceptors: list[Any] = [RuntimeVersionHttpInterceptor("SuperExec")]
        if secret is not None:
            master = load_superexec_auth_secret(str(secret))
            assert master is not None
            interceptors.append(
                SuperExecAuthHttpInterceptor(master_secret=master, protected_methods=[ACQUIRE])
            )
        # No retries: a silent address must not delay the worker's calls of the others.
        self._client = RuntimeHttpClient.from_server_address(
            address, self._root is None, self._root, interceptors
        )

    def acquire(self) -> FlowerTask | None:
        """Take the oldest waiting task; return None if there is none or the API does not answer."""
        request = runtime_pb2.AcquireTaskRequest(supported_task_types=[TYPES[self.kind]])
        try:
            answer = self._client.AcquireTask(request)
        except (httpx.HTTPError, ValueError) as error:
            self.problem = f"{type(error).__name__}: {error}"
            return None
        self.problem = ""
        if not answer.HasField("task") or not answer.token:
            return None
        task = answer.task
        return FlowerTask(self.kind, task.run_id, task.fab_hash, answer.token)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def run_task_in_this_process(self, task: FlowerTask, agreed: Collection[str]) -> None:
        """Run the task as Flower's own program would; it ends with SystemExit.

        A bundle without one of the ``agreed`` hashes fails the task before unpacking.
        """
        name = {"client": pins.CLIENT_TASK, "server": pins.SERVER_TASK}[task.kind]
        module: Any = importlib.import_module(name)
        module.install_from_fab = installing_only(agreed, _alone(module.install_from_fab))
        ask_for_objects_often(importlib.import_module(pins.OBJECTS))
        sys.argv = [f"flwr-{task.kind}app"]
        more: dict[str, Any] = {}
        if task.kind == "server":
            more["log_queue"] = Queue()
            mirror_output_to_queue(more["log_queue"])
        getattr(module, name.rpartition(".")[2])(
            runtime_api_address=self.address,
            token=task.token,
            insecure=self._root is None,
            certificates=self._root,
            parent_pid=None,
            runtime_dependency_install=False,
            **more,
        )
