"""The non-public interfaces of Flower that a deployed site uses, for ``flwr==1.42.*``.

A stock SuperNode runs whatever bundle a SuperLink hands it, polls every three seconds, and has a
new Python started for each message.  This module changes that:

* :func:`run_supernode`: the stock SuperNode in this process, guarded, and with a pace of our own;
* :class:`RuntimeApi`: takes tasks and runs them in this process, so that a warm one can be forked;
* :func:`bundle_of`: the bundle of an app folder and the hash that all sites agree on.

:mod:`deploy.flower.pins` refuses any other Flower.  A site can run without the warm worker, as
stock Flower does (``isolation = "subprocess"``), but there is no option to run without the guard.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
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
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from deploy.flower import pins
from deploy.flower.bundle_guard import BundleGuard, installing_only
from deploy.flower.nouns import FlowerTask, Hooks, Kind
from deploy.flower.size_guard import SizeGuard
from deploy.flower.waits import Waits, ask_for_objects_often
from strategies.errors import BundleRefused, ConfigurationError

CRASHED = Error(ErrorCode.CLIENT_APP_CRASHED, "The ClientApp's process ended without a reply.")
ACQUIRE = "/flwr.proto.Runtime/AcquireTask"
LONGEST_RETRY_SECONDS = 3  # until an unreachable SuperLink is tried again; Flower's is twenty


def bundle_of(app_folder: Path) -> tuple[bytes, str]:
    """Return the Flower App Bundle of a folder, as ``flwr build`` makes it, and its SHA-256.

    The files are stored, not compressed, in sorted order and with a fixed date: the same folder
    gives the same bytes on every machine.  Raises :class:`ConfigurationError` for an invalid app.
    """
    try:
        with warnings.catch_warnings():  # Flower names its patterns in a way that is deprecated
            warnings.simplefilter("ignore", DeprecationWarning)
            content = build_fab_from_disk(app_folder)
    except (ValueError, OSError) as error:
        raise ConfigurationError(
            f"{app_folder}: {error}", "a folder with a Flower app", "`flwr build` says more"
        ) from error
    return content, hashlib.sha256(content).hexdigest()


def install_bundle(app_folder: Path, agreed: str) -> None:
    """Unpack a folder's bundle before the first task, so that no two tasks unpack it at once.

    Raises :class:`BundleRefused` when the folder's bundle is not the agreed one.
    """
    installing_only(agreed, install_from_fab)(bundle_of(app_folder)[0], skip_prompt=True)


def run_supernode(
    options: list[str],
    guard: BundleGuard,
    hooks: Hooks,
    note: Path | None = None,
    size: SizeGuard | None = None,
) -> None:
    """Run the stock ``flower-supernode`` with ``options`` in this process, until it exits.

    ``note`` is a file for the node's id: with it, a SuperNode first signs its predecessor off.
    Raises :class:`ConfigurationError` with another Flower, SystemExit when the SuperNode ends.
    """
    pins.require_supported()
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
    """Return ``connect``, a SuperNode's way to its SuperLink, with the guards in between."""
    size = size or SizeGuard(None, lambda run, found: None)

    @contextmanager
    def connection(**options: Any) -> Iterator[tuple[Any, ...]]:
        if note is not None:
            # Else the SuperLink would reject this node for a minute after a killed predecessor.
            _sign_off(note, options)
        with connect(**options) as (node, *calls):
            if tuple(call.__name__ for call in calls) != pins.CONNECTION:
                raise RuntimeError("the SuperNode's connection is not the expected one")
            call = dict(zip(pins.CONNECTION, calls, strict=True))
            receive, get_run, get_fab = call["receive"], call["get_run"], call["get_fab"]
            pull, confirm = call["pull_object"], call["confirm_message_received"]

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
                size.count(run_id, len(part))
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
    """Let the loop clean up after a message whose run ends while it is received."""
    # Flower's loop cleans up after other exceptions, but not after `RunNotRunningException`.
    # Without this the message stays queued and every later reply is off by one.
    try:
        yield
    except RunNotRunningException as over:
        raise RuntimeError("the run is over") from over


@contextmanager
def _ignored_when_refused() -> Iterator[None]:
    """Turn a refusal into the exception on which the SuperNode's loop drops the message."""
    try:
        yield
    except BundleRefused as refusal:
        raise RunNotRunningException from refusal


def _sign_off(note: Path, options: Mapping[str, Any]) -> None:
    """Tell the SuperLink that the SuperNode that wrote ``note`` is gone; ignore any failure."""
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

    Without a root certificate the connection is not encrypted: use that on the loopback interface
    only.  ``secret`` is the file given to the program as --superexec-auth-secret-file.
    """

    def __init__(
        self, address: str, kind: Kind, root_certificate: Path | None, secret: Path | None = None
    ) -> None:
        self.address, self.kind = address, kind
        self.problem = ""  # why the last question failed; empty when it did not
        self._root = root_certificate.read_bytes() if root_certificate else None
        interceptors: list[Any] = [RuntimeVersionHttpInterceptor("SuperExec")]
        if secret is not None:
            master = load_superexec_auth_secret(str(secret))
            assert master is not None
            interceptors.append(
                SuperExecAuthHttpInterceptor(master_secret=master, protected_methods=[ACQUIRE])
            )
        # No retries: one address that does not answer must not keep the others waiting.
        self._client = RuntimeHttpClient.from_server_address(
            address, self._root is None, self._root, interceptors
        )

    def acquire(self) -> FlowerTask | None:
        """Take the oldest waiting task; return None if no task waits or the API is silent."""
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

    def run_task_in_this_process(self, task: FlowerTask, agreed: str) -> None:
        """Run the task as Flower's own program would; raises SystemExit when it is over.

        A bundle without the ``agreed`` hash fails the task before it is unpacked.
        """
        name = {"client": pins.CLIENT_TASK, "server": pins.SERVER_TASK}[task.kind]
        module: Any = importlib.import_module(name)
        module.install_from_fab = installing_only(agreed, module.install_from_fab)
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
