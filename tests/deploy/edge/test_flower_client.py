"""Flower's own client through both edges: what a SuperNode does must pass the edges' limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httpx
import pytest
from flwr.proto.fleet_pb2 import PullMessagesRequest
from flwr.supercore.protobuf.client import ProtobufRequestContext
from flwr.supernode.fleet_http_client import FleetHttpClient

from tests.support.edges import PULL, Sites, key_of, needs_nginx

# Flower's own way to name its root certificates.
pytestmark = pytest.mark.filterwarnings("ignore:`verify=<str>` is deprecated:DeprecationWarning")


@dataclass(frozen=True)
class NodeKey:
    """Sends a node key; the stand-in for the SuperLink asks for no signature."""

    header: dict[str, str]

    def intercept(
        self,
        context: ProtobufRequestContext,
        call_next: Callable[[ProtobufRequestContext], httpx.Response],
    ) -> httpx.Response:
        """Add the header and go on."""
        context.request.headers.update(self.header)
        return call_next(context)


@contextmanager
def client_of_b(sites: Sites) -> Iterator[FleetHttpClient]:
    """Give the client with which b's SuperNode calls a's SuperLink."""
    root = str(sites.pki.identity("b") / "loopback-ca.crt")
    address = f"127.0.0.1:{sites.b.peers['a'].outbound_port}"
    keys = [NodeKey(key_of(sites.pki, "b"))]
    with FleetHttpClient.from_server_address(address, False, root, keys) as client:
        yield client


@needs_nginx
def test_client_speaks_the_tls_of_the_edges(sites: Sites) -> None:
    # The stand-in answers 200 with a body that is no protobuf; another status would raise.
    with client_of_b(sites) as client, suppress(ValueError):
        client.PullMessages(PullMessagesRequest())
    assert [each.path for each in sites.superlink.arrived] == [PULL]
