"""Flower's own client through both edges: what a SuperNode does must pass the edges' limits."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields

import httpx
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, RecordDict
from flwr.proto.fleet_pb2 import PullMessagesRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import PushObjectRequest
from flwr.supercore.constant import (
    FLWR_PRIVATE_MAX_CONCURRENT_OBJ_PULLS,
    FLWR_PRIVATE_MAX_CONCURRENT_OBJ_PUSHES,
)
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import push_objects
from flwr.supercore.protobuf.client import ProtobufRequestContext
from flwr.supernode.fleet_http_client import FleetHttpClient

from deploy.edge.nginx import Edge
from srflm_flower.site.ledger import PAGE_BYTES
from strategies.protocol import messages as wire
from strategies.weights import Model
from tests.support.edges import PULL, MiB, Sites, key_of, needs_nginx
from tests.support.records import make_committed, make_record

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


@needs_nginx
def test_model_of_thirty_megabytes_passes_as_flower_sends_it(sites: Sites) -> None:
    """Two objects at a time and heartbeats beside them: no call is refused, nothing is changed."""
    model = Array(np.random.default_rng(0).integers(0, 256, 30 * 10**6).astype(np.uint8))
    content = RecordDict({"model": ArrayRecord({"safetensors": model})})
    objects = get_all_nested_objects(content)
    sizes = [len(each.deflate()) for each in objects.values()]
    assert sum(sizes) > 30 * 10**6 and max(sizes) < 6 * MiB, "the limit is 16 MiB"
    sent = {
        hashlib.sha256(
            PushObjectRequest(object_id=name, object_content=each.deflate()).SerializeToString()
        ).hexdigest()
        for name, each in objects.items()
    }
    done = threading.Event()
    with client_of_b(sites) as client:

        def push(name: str, data: bytes) -> None:
            with suppress(ValueError):  # another status than 200 would raise an HTTPStatusError
                client.PushObject(PushObjectRequest(object_id=name, object_content=data))

        def beat() -> int:
            count = 0
            while not done.is_set():
                with suppress(ValueError):
                    client.SendNodeHeartbeat(SendNodeHeartbeatRequest())
                count += 1
            return count

        with ThreadPoolExecutor(1) as beside:
            beats = beside.submit(beat)
            try:
                push_objects(objects, push)  # as many at a time as Flower pushes
            finally:
                done.set()
            assert beats.result() > 0
    arrived = [each for each in sites.superlink.arrived if each.path.endswith("push-object")]
    assert {each.digest for each in arrived} == sent


@pytest.mark.parametrize("parameters", [2**18 - 100, 2**18 + 100, 10**7])
def test_no_object_of_a_reply_is_near_the_limit_whatever_the_network(parameters: int) -> None:
    """A page of records and models below, at and far above the size from which Flower cuts them."""
    # All records of a page are valid alone, and no record is larger than these.
    record = make_committed(make_record(ended="x" * 2**15))
    page = (record,) * (PAGE_BYTES // len(record.model_dump_json()) + 1)
    weights = np.random.default_rng(0).random(parameters, np.float32)  # equal parts go once
    model = Model.of({"weight": weights})
    content = wire.pack(wire.Reply(vendor="b", status="done", records=page), [model])
    sizes = [len(each.deflate()) for each in get_all_nested_objects(content).values()]
    assert sum(sizes) > PAGE_BYTES + len(model.data)
    assert max(sizes) < 6 * MiB, "the limit is 16 MiB"


def test_flower_makes_fewer_calls_at_a_time_than_the_edge_takes() -> None:
    pushes, pulls = FLWR_PRIVATE_MAX_CONCURRENT_OBJ_PUSHES, FLWR_PRIVATE_MAX_CONCURRENT_OBJ_PULLS
    # A SuperNode pulls or pushes; its heartbeat and its launcher's look at the clock come beside.
    connections = {each.name: each.default for each in fields(Edge)}["connections"]
    assert max(pushes, pulls) + 2 <= connections
