"""A peer's answer at its door may be slow, or never end: whoever asks has its own patience."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.door.asking import MOST_BYTES, ask_peer
from deploy.simulation.private_superlink import free_port
from tests.support.edges import Pki
from tests.support.waiting import PATIENCE_SECONDS

BETWEEN_SECONDS = 0.2


@dataclass
class Dripping:
    """A server that has told the length of its answer, and sends a byte of it now and then."""

    port: int
    sent: int = 0


@contextmanager
def dripping(identity: Path) -> Iterator[Dripping]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity / "loopback.crt", identity / "loopback.key")
    enough = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Dripping(listening.getsockname()[1])

        def serve() -> None:
            with suppress(OSError):
                call, _ = listening.accept()
                with context.wrap_socket(call, server_side=True) as secure:
                    secure.recv(4096)
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {MOST_BYTES}\r\n\r\n"
                    secure.sendall(head.encode())
                    while found.sent < MOST_BYTES and not enough.wait(BETWEEN_SECONDS):
                        secure.sendall(b"x")
                        found.sent += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield found
        finally:
            enough.set()
            thread.join()


def test_peer_that_sends_byte_by_byte_holds_up_nobody(pki: Pki) -> None:
    identity = pki.identity("a")
    with dripping(identity) as peer:
        answer = ask_peer(
            peer.port, identity / "loopback-ca.crt", "GET", "/", patience=PATIENCE_SECONDS
        )
        assert peer.sent < MOST_BYTES // 2, "it waits for the whole answer"
    assert answer is not None and answer.body.startswith(b"x")


def test_whoever_cannot_ask_has_no_answer(pki: Pki, tmp_path: Path) -> None:
    certificate = pki.identity("a") / "loopback-ca.crt"
    assert ask_peer(free_port(), certificate, "GET", "/", 1.0) is None
    assert ask_peer(free_port(), tmp_path / "missing.crt", "GET", "/", 1.0) is None
