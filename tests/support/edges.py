"""Edges on loopback, with stand-ins behind them, and who calls them."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.edge.machines import split_address
from deploy.edge.nginx import (
    Edge,
    Peer,
    check_configuration,
    find_nginx,
    flower_key_header,
    nginx_command,
    write_configuration,
)
from deploy.identity.identity import PublicIdentity
from deploy.simulation.private_superlink import free_port
from strategies.errors import ConfigurationError
from tests.support.waiting import PATIENCE_SECONDS, wait_for

try:
    NGINX: str | None = find_nginx()
except ConfigurationError:
    NGINX = None
needs_nginx = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx-light")

PULL = "/v1/fleet/pull-messages"
MEMBERS = ("a", "b", "c")
MiB = 1024 * 1024


@dataclass(frozen=True)
class Arrived:
    """A request that reached the SuperLink's place."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    size: int
    digest: str

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


@dataclass
class SuperLinkStandIn:
    """An HTTPS server that notes what reaches it, and answers as the header x-answer asks."""

    port: int
    arrived: list[Arrived] = field(default_factory=list)


@contextmanager
def stand_in(identity: Path) -> Iterator[SuperLinkStandIn]:
    noted = SuperLinkStandIn(0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            digest, left = hashlib.sha256(), size
            while left and (data := self.rfile.read(min(left, 65536))):
                digest.update(data)
                left -= len(data)
            arrived = Arrived(
                self.command, self.path, self.headers.items(), size, digest.hexdigest()
            )
            noted.arrived.append(arrived)
            self.send_response(int(self.headers.get("x-answer") or 200))
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Set-Cookie", "followed=1")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        do_POST = do_GET = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity / "loopback.crt", identity / "loopback.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    noted.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield noted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class Pki:
    """The identities of members, of one who is none (d), and of one of another consortium."""

    folder: Path
    public: Mapping[str, PublicIdentity]

    def identity(self, name: str) -> Path:
        return self.folder / name


def edge_of(pki: Pki, vendor: str, prefix: Path, superlink: int = 1, **peers: str) -> Edge:
    """Return an edge; ``peers`` are addresses, by default places where nobody is."""
    addresses = {name: f"127.0.0.1:{9 + i}" for i, name in enumerate(MEMBERS) if name != vendor}
    addresses |= peers
    return Edge(
        vendor,
        prefix / vendor,
        pki.identity(vendor),
        f"127.0.0.1:{free_port()}",
        superlink,
        {
            name: Peer(address, free_port(), pki.public[name].node_keys[vendor])
            for name, address in addresses.items()
        },
    )


def port_of(edge: Edge) -> int:
    return split_address(edge.listen)[1]


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def running(edge: Edge, configuration: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run nginx as this edge; it ends with the block."""
    assert NGINX is not None
    path = write_configuration(edge)
    if configuration is not None:
        path.write_text(configuration)
    check_configuration(NGINX, edge.prefix)
    process = subprocess.Popen(nginx_command(NGINX, edge.prefix), stderr=subprocess.DEVNULL)
    try:
        assert wait_for(lambda: answers(port_of(edge)))
        yield process
    finally:
        process.terminate()
        process.wait()


def network(pki: Pki, name: str | None) -> ssl.SSLContext:
    """Return the TLS of a peer that shows the certificate ``name``, or none."""
    context = ssl.create_default_context(cafile=pki.identity("a") / "consortium-ca.crt")
    if name is not None:
        folder = pki.identity(name)
        context.load_cert_chain(folder / "site.crt", folder / "site.key")
    return context


def local(pki: Pki, name: str) -> ssl.SSLContext:
    """Return the TLS of the SuperNode of ``name`` towards its own edge."""
    return ssl.create_default_context(cafile=pki.identity(name) / "loopback-ca.crt")


def key_of(pki: Pki, owner: str, at: str = "a") -> dict[str, str]:
    """Return the header of the node key with which ``owner`` comes to the SuperLink ``at``."""
    return {"flwr-public-key": flower_key_header(pki.public[owner].node_keys[at])}


def call(
    port: int,
    tls: ssl.SSLContext,
    path: str = PULL,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
    body: bytes = b"x",
) -> http.client.HTTPResponse:
    """Make one call, its path exactly as given; return the answer, read."""
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=PATIENCE_SECONDS, context=tls
    )
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


@dataclass(frozen=True)
class Sites:
    """Site a with the stand-in behind its edge, and site b whose outbound port leads to a."""

    pki: Pki
    superlink: SuperLinkStandIn
    a: Edge
    b: Edge
    a_process: subprocess.Popen[bytes]

    def as_peer(self, certificate: str | None, key: str = "b", **more: str) -> int:
        """Call a's network port; return the status."""
        more = more or {"path": PULL}
        headers = key_of(self.pki, key)
        return call(port_of(self.a), network(self.pki, certificate), headers=headers, **more).status

    def through_both(self, body: bytes = b"x", **headers: str) -> http.client.HTTPResponse:
        """Call as b's SuperNode does."""
        port, sent = self.b.peers["a"].outbound_port, {**key_of(self.pki, "b"), **headers}
        return call(port, local(self.pki, "b"), "/v1/fleet/push-object", sent, body=body)


ALONE = """
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@contextmanager
def superlink_process(identity: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    files = [str(identity / "loopback.crt"), str(identity / "loopback.key")]
    process = subprocess.Popen([sys.executable, "-c", ALONE, str(port), *files])
    try:
        assert wait_for(lambda: answers(port))
        yield process
    finally:
        process.kill()
        process.wait()
