from __future__ import annotations

import hashlib
import http.client
import inspect
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from deploy import edge as edge_module
from deploy.edge import (
    FLEET_CALLS,
    Edge,
    Peer,
    addresses_in_hosts,
    check_configuration,
    find_nginx,
    flower_key_header,
    nameservers,
    nginx_command,
    nginx_configuration,
    split_address,
    write_configuration,
)
from deploy.flower_environment import flower_environment
from deploy.pki import (
    PublicIdentity,
    create_consortium,
    install_certificate,
    make_identity,
    sign_site_certificate,
)
from deploy.private_superlink import free_port, program
from deploy.processes import family, process_family
from srflm_flower.errors import ConfigurationError
from tests.support.commands import run

try:
    NGINX: str | None = find_nginx()
except ConfigurationError:
    NGINX = None
needs_nginx = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx-light")

PULL = "/v1/fleet/pull-messages"
MEMBERS = ("a", "b", "c")
MiB = 1024 * 1024


# ---- what the tests run ------------------------------------------------------------------------


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


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("edge-pki")
    public = {}
    ours = create_consortium(folder / "consortium", "ours")
    theirs = create_consortium(folder / "other", "theirs")
    for name, vendor, authority in [
        *((each, each, ours) for each in (*MEMBERS, "d")),
        ("foreign-b", "b", theirs),
    ]:
        public[name] = make_identity(folder / name, vendor, MEMBERS)
        csr = (folder / name / "site.csr").read_bytes()
        pem = sign_site_certificate(authority, csr, vendor, ["127.0.0.1"])
        install_certificate(folder / name, pem, authority.pem)
    return Pki(folder, public)


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


def wait_for(condition: Callable[[], object], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


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
        process.wait(20)


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
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=tls)
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


@pytest.fixture(scope="module")
def shared(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    prefix = tmp_path_factory.mktemp("edge")
    with stand_in(pki.identity("a")) as superlink, ExitStack() as stack:
        a = edge_of(pki, "a", prefix, superlink.port)
        a = replace(a, rate=100000, burst=10000)  # so that these tests do not disturb each other
        a_process = stack.enter_context(running(a))
        b = edge_of(pki, "b", prefix, a=f"127.0.0.1:{port_of(a)}")
        stack.enter_context(running(b))
        yield Sites(pki, superlink, a, b, a_process)


@pytest.fixture
def sites(shared: Sites) -> Sites:
    shared.superlink.arrived.clear()
    return shared


# ---- who may come in ---------------------------------------------------------------------------


@needs_nginx
def test_member_with_its_own_key_comes_through(sites: Sites) -> None:
    assert sites.as_peer("b") == 200
    assert sites.as_peer("c", "c") == 200
    assert [(each.method, each.path) for each in sites.superlink.arrived] == [("POST", PULL)] * 2


@needs_nginx
@pytest.mark.parametrize("certificate", [None, "foreign-b"])
def test_without_a_certificate_of_the_consortium_nobody_comes_in(
    sites: Sites, certificate: str | None
) -> None:
    assert sites.as_peer(certificate) == 400
    assert sites.superlink.arrived == []


@needs_nginx
def test_certificate_of_the_consortium_is_not_enough(sites: Sites) -> None:
    assert sites.as_peer("d", "d") == 403
    assert sites.as_peer("d", "b") == 403
    assert sites.as_peer("d", path="/health") == 403, "not even what there is"
    assert sites.superlink.arrived == []


@needs_nginx
def test_captured_headers_are_worth_nothing_to_another_member(sites: Sites) -> None:
    assert sites.as_peer("b", "c") == 403
    assert sites.as_peer("c", "b") == 403
    assert call(port_of(sites.a), network(sites.pki, "b")).status == 403, "no key at all"
    changed = {"flwr-public-key": key_of(sites.pki, "b")["flwr-public-key"].swapcase()}
    assert call(port_of(sites.a), network(sites.pki, "b"), PULL, changed).status == 403
    elsewhere = key_of(sites.pki, "b", at="c")  # the key for another SuperLink
    assert call(port_of(sites.a), network(sites.pki, "b"), PULL, elsewhere).status == 403
    assert sites.superlink.arrived == []


@needs_nginx
@pytest.mark.parametrize(("first", "second"), [("b", "c"), ("c", "b")])
def test_second_key_header_does_not_reach_the_superlink(
    sites: Sites, first: str, second: str
) -> None:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port_of(sites.a), timeout=20, context=network(sites.pki, "b")
    )
    connection.putrequest("POST", PULL)
    for owner in (first, second):
        connection.putheader("flwr-public-key", key_of(sites.pki, owner)["flwr-public-key"])
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    own = key_of(sites.pki, "b")["flwr-public-key"]
    assert status in (200, 403)
    assert [each.all("flwr-public-key") for each in sites.superlink.arrived] == [[own]] * (
        status == 200
    )
    assert first == "b" or status == 403


@needs_nginx
def test_superlink_is_told_nothing_about_where_a_call_comes_from(sites: Sites) -> None:
    headers = {**key_of(sites.pki, "b"), "X-Forwarded-For": "1.2.3.4", "Forwarded": "for=1.2.3.4"}
    assert call(port_of(sites.a), network(sites.pki, "b"), PULL, headers).status == 200
    arrived = sites.superlink.arrived[0]
    assert arrived.all("x-forwarded-for") == arrived.all("forwarded") == []
    assert arrived.all("host") == ["localhost"]


REFUSED_PATHS = [
    "/",
    "/health",
    "/docs",
    "/openapi.json",
    "/v1/control/start-run",
    "/v1/control/list-runs",
    "/v1/runtime/acquire-task",
    "/v1/fleet/register-node",
    "/v1/fleet/unregister-node",
    "/v1/fleet/",
    "/v1/fleet",
    "/v1/fleet/../control/start-run",
    "/v1/fleet/pull-messages/../../control/start-run",
    "/v1/fleet/%2e%2e/control/start-run",
    "/v1/fleet/..%2fcontrol/start-run",
    "/v1/fleet/.%2e/control/start-run",
    "//v1/control/start-run",
    "/v1//control/start-run",
    "/v1/control/../fleet/pull-messages",
    "/v1/fleet/./pull-messages",
    "//v1/fleet/pull-messages",
    "/v1/fleet//pull-messages",
    "/v1/fleet/pull-messages/",
    "/v1/fleet/pull-messages?x=1",
    "/v1/fleet/pull-messages;x",
    "/v1/fleet/pull-messages%00",
    "/v1/fleet/pull%2dmessages",
    "/v1/FLEET/pull-messages",
    "/v1/fleet/Pull-Messages",
    "/V1/CONTROL/start-run",
    "\\v1\\control\\start-run",
]


@needs_nginx
@pytest.mark.parametrize("path", REFUSED_PATHS)
def test_anything_but_the_fleet_calls_is_refused(sites: Sites, path: str) -> None:
    assert sites.as_peer("b", path=path) in (400, 404)
    port, tls = sites.b.peers["a"].outbound_port, local(sites.pki, "b")
    assert call(port, tls, path, key_of(sites.pki, "b")).status in (400, 404)
    assert sites.superlink.arrived == []


@needs_nginx
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_only_post_is_let_through(sites: Sites, method: str) -> None:
    assert sites.as_peer("b", method=method) == 405
    assert sites.superlink.arrived == []


@needs_nginx
@pytest.mark.parametrize("name", FLEET_CALLS)
def test_every_call_of_a_supernode_is_let_through(sites: Sites, name: str) -> None:
    assert sites.as_peer("b", path=f"/v1/fleet/{name}") == 200
    assert [each.path for each in sites.superlink.arrived] == [f"/v1/fleet/{name}"]


@needs_nginx
def test_log_says_who_was_refused_and_leaves_idle_polls_out(sites: Sites) -> None:
    log = sites.a.prefix / "logs" / "in.jsonl"

    def lines() -> list[tuple[object, ...]]:
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        return [tuple(row[key] for key in ("cert", "key_owner", "uri", "st")) for row in rows]

    assert sites.as_peer("b") == 200
    assert sites.as_peer("c", path="/v1/fleet/get-fab") == 403
    assert wait_for(lambda: ("CN=c", "b", "/v1/fleet/get-fab", 403) in lines())
    assert [row for row in lines() if row[2:] == (PULL, 200)] == []


# ---- how much ----------------------------------------------------------------------------------


@needs_nginx
def test_body_above_the_limit_does_not_reach_the_superlink(sites: Sites) -> None:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port_of(sites.a), timeout=20, context=network(sites.pki, "b")
    )
    headers = {**key_of(sites.pki, "b"), "Content-Length": str(64 * MiB + 1)}
    connection.putrequest("POST", "/v1/fleet/push-object")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(b"only the beginning")
    assert connection.getresponse().status == 413
    connection.close()
    assert sites.superlink.arrived == []


@needs_nginx
def test_body_of_unknown_length_is_refused_before_it_reaches_the_superlink(sites: Sites) -> None:
    for port, tls in (
        (port_of(sites.a), network(sites.pki, "b")),
        (sites.b.peers["a"].outbound_port, local(sites.pki, "b")),
    ):
        with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=tls)) as c:
            c.request("POST", PULL, iter([b"x"]), key_of(sites.pki, "b"))  # chunked
            assert c.getresponse().status == 411
    assert sites.superlink.arrived == []


@needs_nginx
def test_too_many_calls_are_refused_so_that_they_are_tried_again(pki: Pki, tmp_path: Path) -> None:
    with stand_in(pki.identity("a")) as superlink:
        edge = replace(edge_of(pki, "a", tmp_path, superlink.port), rate=1, burst=4)
        with running(edge):
            tls, headers = network(pki, "b"), key_of(pki, "b")
            found = [call(port_of(edge), tls, PULL, headers).status for _ in range(8)]
            other = call(port_of(edge), network(pki, "c"), PULL, key_of(pki, "c")).status
    assert found[:5] == [200] * 5 and found[-1] == 503 and set(found) == {200, 503}
    assert other == 200, "each peer has its own limit"


@needs_nginx
def test_fifty_megabytes_pass_unchanged(sites: Sites) -> None:
    bodies = [os.urandom(5 * MiB) for _ in range(10)]
    for body in bodies:
        assert sites.through_both(body).status == 200
    assert [each.digest for each in sites.superlink.arrived] == [
        hashlib.sha256(body).hexdigest() for body in bodies
    ]


# ---- the way out -------------------------------------------------------------------------------


@needs_nginx
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_peer_cannot_send_the_supernode_elsewhere(sites: Sites, status: int) -> None:
    response = sites.through_both(**{"x-answer": str(status)})
    assert (response.status, response.getheader("location")) == (502, None)


@needs_nginx
@pytest.mark.parametrize("status", [401, 403, 404, 409, 500, 503])
def test_other_answers_of_a_peer_are_passed_on(sites: Sites, status: int) -> None:
    response = sites.through_both(**{"x-answer": str(status)})
    assert (response.status, response.getheader("set-cookie")) == (status, None)


@needs_nginx
def test_peer_must_be_the_one_that_is_meant(sites: Sites, tmp_path: Path) -> None:
    """Let b believe that c is at a's address: a's certificate must not do for c."""
    edge = edge_of(sites.pki, "b", tmp_path, c=f"127.0.0.1:{port_of(sites.a)}")
    with running(edge):
        port = edge.peers["c"].outbound_port
        assert call(port, local(sites.pki, "b"), PULL, key_of(sites.pki, "b")).status == 502
    assert sites.superlink.arrived == []


@contextmanager
def name_server(known: Mapping[str, str]) -> Iterator[int]:
    """Answer A queries for ``known`` names, NXDOMAIN for others; give the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                query, sender = server.recvfrom(512)
                if query == b"end":
                    return
                end = query.index(b"\0", 12)
                labels, place = [], 12
                while place < end:
                    labels.append(query[place + 1 : place + 1 + query[place]].decode())
                    place += 1 + query[place]
                found, wants_a = known.get(".".join(labels)), query[end + 1 : end + 3] == b"\0\1"
                record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4"
                answer = record + socket.inet_aton(found) if found and wants_a else b""
                flags = b"\x81\x80" if found else b"\x81\x83"
                count = b"\0\1" if answer else b"\0\0"
                head = query[:2] + flags + b"\0\1" + count + b"\0\0\0\0"
                server.sendto(head + query[12 : end + 5] + answer, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", server.getsockname())
            thread.join()


@needs_nginx
def test_names_are_resolved_when_they_are_called(sites: Sites, tmp_path: Path) -> None:
    """Let nginx start although c's name is unknown; a's name is asked for at the call."""
    edge = edge_of(
        sites.pki, "b", tmp_path, a=f"a.example:{port_of(sites.a)}", c="nobody.example:8443"
    )
    with name_server({"a.example": "127.0.0.1"}) as port:
        text = nginx_configuration(edge, "", "nameserver 127.0.0.1\n")
        text = text.replace("resolver 127.0.0.1;", f"resolver 127.0.0.1:{port};")
        with running(edge, text):
            tls, headers = local(sites.pki, "b"), key_of(sites.pki, "b")
            assert call(edge.peers["c"].outbound_port, tls, PULL, headers).status == 502
            assert call(edge.peers["a"].outbound_port, tls, PULL, headers).status == 200
    assert len(sites.superlink.arrived) == 1


@needs_nginx
def test_name_in_etc_hosts_works_without_a_name_server(sites: Sites, tmp_path: Path) -> None:
    edge = edge_of(sites.pki, "b", tmp_path, a=f"site-a:{port_of(sites.a)}")
    with running(edge, nginx_configuration(edge, "127.0.0.1 localhost Site-A # x\n", "")):
        port = edge.peers["a"].outbound_port
        assert call(port, local(sites.pki, "b"), PULL, key_of(sites.pki, "b")).status == 200


# ---- what goes wrong on the way ----------------------------------------------------------------

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


@needs_nginx
def test_superlink_that_was_killed_is_found_again(pki: Pki, tmp_path: Path) -> None:
    superlink = free_port()
    a = edge_of(pki, "a", tmp_path, superlink)
    b = edge_of(pki, "b", tmp_path, a=f"127.0.0.1:{port_of(a)}")
    with running(a), running(b):

        def status() -> int:
            port = b.peers["a"].outbound_port
            return call(port, local(pki, "b"), PULL, key_of(pki, "b")).status

        with superlink_process(pki.identity("a"), superlink) as process:
            assert [status() for _ in range(3)] == [200] * 3
            process.kill()
            process.wait()
            assert [status() for _ in range(3)] == [502] * 3, "a status that is tried again"
        with superlink_process(pki.identity("a"), superlink):
            assert [status() for _ in range(3)] == [200] * 3, "at once"


@needs_nginx
def test_reload_lets_a_running_upload_finish(sites: Sites) -> None:
    body = os.urandom(5 * MiB)
    port, tls = sites.b.peers["a"].outbound_port, local(sites.pki, "b")
    master = psutil.Process(sites.a_process.pid).children()[0]
    before = master.children()
    running_call = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=tls)
    with closing(running_call) as connection:
        connection.putrequest("POST", "/v1/fleet/push-object")
        for name, value in {**key_of(sites.pki, "b"), "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body[: 2 * MiB])
        sites.a_process.send_signal(signal.SIGHUP)
        # The new worker starts a tenth of a second before the old one knows.
        assert wait_for(lambda: all("shutting" in " ".join(each.cmdline()) for each in before))
        assert sites.through_both().status == 200, "new calls meanwhile"
        connection.send(body[2 * MiB :])
        assert connection.getresponse().status == 200
    digests = [each.digest for each in sites.superlink.arrived]
    assert hashlib.sha256(body).hexdigest() in digests
    assert wait_for(lambda: not {*before} & {*master.children()}), "the old one has ended"


@needs_nginx
def test_nginx_ends_with_its_family_although_it_overwrites_its_environment(
    pki: Pki, tmp_path: Path
) -> None:
    assert NGINX is not None
    edge = edge_of(pki, "a", tmp_path)
    write_configuration(edge)
    with process_family(os.environ, tmp_path / "log") as members:
        members.start(nginx_command(NGINX, edge.prefix), os.environ, tmp_path / "log")
        assert wait_for(lambda: answers(port_of(edge)))
        processes = {each for each in family(members.tag) if "nginx" in each.name()}
        assert len(processes) == 2, "master and worker"
    assert not any(each.is_running() for each in processes) and not answers(port_of(edge))


@needs_nginx
def test_exit_status_is_that_of_nginx(pki: Pki, tmp_path: Path) -> None:
    assert NGINX is not None
    edge = edge_of(pki, "a", tmp_path)
    write_configuration(edge).write_text("nonsense;")
    done = subprocess.run(nginx_command(NGINX, edge.prefix), capture_output=True, timeout=20)
    assert done.returncode == 1


# ---- the configuration -------------------------------------------------------------------------


@needs_nginx
def test_configuration_that_nginx_cannot_use_is_refused_with_its_words(
    pki: Pki, tmp_path: Path
) -> None:
    assert NGINX is not None
    edge = replace(edge_of(pki, "a", tmp_path), identity=tmp_path / "nothing")
    write_configuration(edge)
    with pytest.raises(ConfigurationError, match="cannot load certificate"):
        check_configuration(NGINX, edge.prefix)


@needs_nginx
def test_everything_lies_under_the_prefix(sites: Sites) -> None:
    found = {path.name for path in sites.a.prefix.iterdir()}
    assert found == {"logs", "tmp", "nginx.conf", "nginx.pid"}
    mine = str(sites.a.prefix)
    for line in (sites.a.prefix / "nginx.conf").read_text().splitlines():
        for word in line.split('"')[1::2]:
            if word.startswith("/"):
                assert word.startswith((mine, str(sites.a.identity))), line


def test_missing_nginx_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(edge_module, "NGINX_FOLDERS", (tmp_path,))
    with pytest.raises(ConfigurationError, match="sudo apt-get install nginx-light"):
        find_nginx()


def test_key_is_written_as_flower_sends_it(pki: Pki) -> None:
    from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes

    private = load_ssh_private_key((pki.identity("b") / "node-a.key").read_bytes(), None)
    sent = b64encode(public_key_to_bytes(private.public_key())).decode("ascii")  # type: ignore[arg-type]
    assert {FLEET_HTTP_PUBLIC_KEY_HEADER: sent} == key_of(pki, "b")


def test_edge_closes_idle_connections_before_flower_does() -> None:
    import uvicorn

    flower = inspect.signature(uvicorn.Config).parameters["timeout_keep_alive"].default
    assert 0 < edge_module.SUPERLINK_IDLE_SECONDS < flower


def test_calls_are_all_that_flower_has_but_registration() -> None:
    from flwr.superlink.routers.fleet.router import router

    paths = {route.path.rpartition("/")[2] for route in router.routes}  # type: ignore[attr-defined]
    assert paths - set(FLEET_CALLS) == {"register-node", "unregister-node"}
    assert set(FLEET_CALLS) <= paths


@pytest.mark.parametrize(
    "change",
    [
        {"vendor": 'a"; }'},
        {"vendor": "b"},
        {"listen": "localhost:8443"},
        {"listen": "0.0.0.0"},
        {"listen": "0.0.0.0:99999"},
        {"listen": "0.0.0.0:80; }"},
        {"superlink_port": 0},
        {"body_limit": "64m; }"},
        {"body_limit": "0"},
        {"rate": 0},
        {"prefix": Path('/x"; load_module y')},
        {"identity": Path("/x/$ssl_client_s_dn")},
        {"peers": {"b}": Peer("h:1", 2, "")}},
        {"peers": {"b": Peer("h:1;", 2, "")}},
        {"peers": {"b": Peer("$http_host:1", 2, "")}},
        {"peers": {"b": Peer("h/v1/control:1", 2, "")}},
        {"peers": {"b": Peer("h", 2, "")}},
        {"peers": {"b": Peer("[h]:1", 2, "")}},
        {"peers": {"b": Peer("h:1", 1, "")}},
        {"peers": {"b": Peer("h:1", 2, ""), "c": Peer("h:1", 2, "")}},
    ],
    ids=str,
)
def test_edge_that_would_not_be_what_it_seems_is_refused(
    pki: Pki, tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationError):
        replace(edge_of(pki, "a", tmp_path), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["", "ssh-ed25519 AAAA", "nonsense"])
def test_node_key_that_flower_would_not_take_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="the node key"):
        flower_key_header(key)


def test_node_key_of_two_members_is_refused(pki: Pki, tmp_path: Path) -> None:
    edge = edge_of(pki, "a", tmp_path)
    same = replace(edge.peers["c"], node_key=edge.peers["b"].node_key)
    with pytest.raises(ConfigurationError, match="two peers with one node key"):
        nginx_configuration(replace(edge, peers={**edge.peers, "c": same}))


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("10.0.0.1:8443", "10.0.0.1", 8443),
        ("Site.Example:1", "site.example", 1),
        ("[::1]:65535", "::1", 65535),
    ],
)
def test_addresses(address: str, host: str, port: int) -> None:
    assert split_address(address) == (host, port)


def test_names_of_this_machine_are_read_as_nginx_needs_them() -> None:
    hosts = "127.0.0.1 localhost # site\n::1 localhost ip6\nfe80::1%eth0 localhost\n10.0.0.1 A.b\n"
    assert addresses_in_hosts("localhost", hosts) == ["127.0.0.1", "::1"]
    assert addresses_in_hosts("a.b", hosts) == ["10.0.0.1"]
    assert addresses_in_hosts("site", hosts) == []
    assert nameservers("# x\nnameserver 10.0.0.1\nnameserver ::1\nnameserver fe80::1%e\n") == [
        "10.0.0.1",
        "[::1]",
    ]


# ---- with Flower itself ------------------------------------------------------------------------


@needs_nginx
@pytest.mark.slow
def test_supernode_becomes_active_through_both_edges(pki: Pki, tmp_path: Path) -> None:
    """Run a's SuperLink and b's SuperNode; kill the SuperLink, and see the node come back."""
    superlink, home = free_port(), tmp_path / "home"
    own, other = pki.identity("a"), pki.identity("b")
    a = edge_of(pki, "a", tmp_path, superlink)
    b = edge_of(pki, "b", tmp_path, a=f"127.0.0.1:{port_of(a)}")
    environment = flower_environment(home)
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "own"\n\n[superlink.own]\naddress = "127.0.0.1:{superlink}"\n'
        f'root-certificates = "{own / "loopback-ca.crt"}"\n'
    )
    superlink_command = [program("flower-superlink"), "--host", "127.0.0.1"]
    superlink_command += ["--port", str(superlink), "--enable-supernode-auth"]
    superlink_command += ["--ssl-ca-certfile", str(own / "loopback-ca.crt")]
    superlink_command += ["--ssl-certfile", str(own / "loopback.crt")]
    superlink_command += ["--ssl-keyfile", str(own / "loopback.key")]
    superlink_command += ["--database", str(tmp_path / "a.db")]
    superlink_command += ["--disable-runtime-dependency-installation"]
    node_command = [program("flower-supernode"), "--node-config", 'vendor="b"']
    node_command += ["--superlink", f"127.0.0.1:{b.peers['a'].outbound_port}"]
    node_command += ["--root-certificates", str(other / "loopback-ca.crt")]
    node_command += ["--auth-supernode-private-key", str(other / "node-a.key")]
    node_command += ["--host", "127.0.0.1", "--port", str(free_port())]

    def flwr(*words: str | Path) -> str:
        done = run([program("flwr"), *words], tmp_path, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def is_online() -> bool:
        return '"online"' in flwr("supernode", "list", "own", "--format", "json")

    with running(a), running(b), process_family(environment, tmp_path / "log") as members:
        process = members.start(superlink_command, environment, tmp_path / "superlink.log")
        assert wait_for(lambda: answers(superlink), 60)
        flwr("supernode", "register", own.parent / "b" / "node-a.pub", "own", "--name", "b")
        node = members.start(node_command, environment, tmp_path / "node.log")
        assert wait_for(is_online, 60), (tmp_path / "node.log").read_text()
        process.kill()
        process.wait()
        log = a.prefix / "logs" / "in.jsonl"
        assert wait_for(lambda: '"st":502' in log.read_text(), 60), "the node goes on calling"
        members.start(superlink_command, environment, tmp_path / "superlink.log")
        assert wait_for(lambda: answers(superlink), 60)
        assert wait_for(is_online, 60), (tmp_path / "node.log").read_text()
        assert node.poll() is None
