"""Call the Control API of the site's own SuperLink directly, for ``flwr==1.42.*``.

Only this file and :mod:`deploy.flower.internals` use non-public interfaces of Flower.
"""

# Flower's command line takes a second or more for each call; this takes some hundredths.

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from flwr.common.serde import fab_to_proto, user_config_to_proto
from flwr.proto import control_pb2
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from deploy.flower.environment import directly
from deploy.flower.nouns import RunStatus
from strategies.errors import ConfigurationError


@dataclass(frozen=True)
class Control:
    """The Control API; every method raises httpx.HTTPError if the SuperLink does not answer.

    Without a root certificate the connection is not encrypted.
    """

    address: str
    root_certificate: Path | None

    @contextmanager
    def _client(self) -> Iterator[ControlHttpClient]:
        root = self.root_certificate.read_bytes() if self.root_certificate else None
        # The same version header as from Flower's own command line.
        interceptors = [RuntimeVersionHttpInterceptor("flwr CLI")]
        # Commands run with their user's environment: a proxy named there must not get these calls.
        with directly():
            made = ControlHttpClient.from_server_address(
                self.address, root is None, root, interceptors
            )
        with made as client:
            yield client

    def start_run(
        self, bundle: bytes, settings: Mapping[str, bool | int | float | str] | None = None
    ) -> int:
        """Submit a run of a bundle and return its id; an executor starts it later.

        Raises :class:`ConfigurationError` if the SuperLink does not accept it.
        """
        fab = Fab(hashlib.sha256(bundle).hexdigest(), bundle, {})
        request = control_pb2.StartRunRequest(
            fab=fab_to_proto(fab), override_config=user_config_to_proto(dict(settings or {}))
        )
        with self._client() as client:
            answer = client.StartRun(request)
        if not answer.HasField("run_id"):
            raise ConfigurationError(
                "a bundle that the SuperLink refuses", "one below 10 MB", "read the SuperLink's log"
            )
        return int(answer.run_id)

    def stop_run(self, run_id: int) -> bool:
        """End a pending or running run; return False if it had ended already."""
        try:
            with self._client() as client:
                return bool(client.StopRun(control_pb2.StopRunRequest(run_id=run_id)).success)
        except httpx.HTTPStatusError as error:
            if _code(error) == ApiErrorCode.RUN_ALREADY_FINISHED:
                return False
            raise

    def runs(self, run_id: int | None = None) -> list[RunStatus]:
        """Return the SuperLink's runs, newest last, or only the run with ``run_id``."""
        with self._client() as client:
            answer = client.ListRuns(control_pb2.ListRunsRequest(run_id=run_id))
        found = sorted(answer.run_dict.values(), key=lambda run: run.pending_at)
        return [
            RunStatus(
                run.run_id,
                ":".join(filter(None, (run.status.status, run.status.sub_status))),
                run.status.details,
                run.fab_hash,
            )
            for run in found
        ]

    def register_node(self, public_key: Path, name: str) -> bool:
        """Admit the SuperNode with this OpenSSH public key; return whether it is new here."""
        key: Any = load_ssh_public_key(public_key.read_bytes())
        request = control_pb2.RegisterNodeRequest(public_key=public_key_to_bytes(key), name=name)
        try:
            with self._client() as client:
                client.RegisterNode(request)
        except httpx.HTTPStatusError as error:
            if _code(error) == ApiErrorCode.PUBLIC_KEY_ALREADY_IN_USE:
                return False
            raise
        return True

    def nodes(self) -> dict[str, str]:
        """Return name → status (``registered``, ``online``, ``offline``) of the nodes."""
        return {node.name: node.status for node in self._list_nodes()}

    def node_ids(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return name → id of all registered nodes, and of those that are online."""
        nodes = self._list_nodes()
        online = [node for node in nodes if node.status == "online"]
        return {n.name: n.node_id for n in nodes}, {n.name: n.node_id for n in online}

    def _list_nodes(self) -> list[NodeInfo]:
        with self._client() as client:
            return list(client.ListNodes(control_pb2.ListNodesRequest()).nodes_info)


def _code(error: httpx.HTTPStatusError) -> int | None:
    """Return Flower's own error code in an answer of its API, or None."""
    found = FlowerError.from_json(error.response.text)
    return None if found is None else int(found.code)
