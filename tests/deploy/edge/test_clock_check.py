"""Clocks that do not agree are told apart before Flower turns SuperNodes away for it."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import pytest

from deploy.edge.clock_check import clock_difference, clock_problems
from deploy.identity.identity import make_identity
from deploy.simulation.private_superlink import free_port


@contextmanager
def peer(identity: Path, ahead: float, status: int = 403) -> Iterator[int]:
    """Be an edge whose clock is ``ahead``; give the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response_only(status)
            self.send_header("Date", formatdate(time.time() + ahead, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity / "loopback.crt", identity / "loopback.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("identity")
    make_identity(folder, "a", ("a",))
    return folder


@pytest.mark.parametrize("ahead", [600.0, -600.0])
def test_clock_ten_minutes_off_is_a_problem(identity: Path, ahead: float) -> None:
    with peer(identity, ahead) as port:
        found = clock_problems({"b": port}, identity / "loopback-ca.crt")
    assert "NTP" in found["b"]
    assert ("ahead" if ahead > 0 else "behind") in found["b"]


def test_clock_that_agrees_is_none(identity: Path) -> None:
    with peer(identity, 2.0) as port:
        assert clock_problems({"b": port}, identity / "loopback-ca.crt") == {}


def test_silent_peer_has_no_clock(identity: Path) -> None:
    root = identity / "loopback-ca.crt"
    assert clock_difference(free_port(), root) is None
    with peer(identity, 900.0, status=502) as port:  # our own edge, for a peer that is away
        assert clock_difference(port, root) is None
