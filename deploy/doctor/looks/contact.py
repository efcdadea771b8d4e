"""Call a peer's edge as this site's own would: by name, TCP, TLS with both agreed keys, and HTTP.

The call asks for a path that no edge forwards: a peer that takes this site for the agreed one
answers 404, and one that does not 400 or 403.  Nothing of it reaches the peer's Flower.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from deploy.doctor.facts import PeerFacts
from deploy.edge.clock_check import ahead_of
from deploy.edge.machines import split_address
from deploy.edge.nginx import ec_key
from deploy.identity.names import internal_name
from deploy.identity.pins import authority_for, shown_certificate
from srflm_flower.federation.federation import Federation

PATIENCE_SECONDS: Final = 5.0
SLOWEST: Final = 100_000
"""Bytes per second below which no speed is measured, so that the measurement ends."""
LEAST_BYTES, MOST_BYTES = 2**20, 4 * 2**20
"""Of a body by which a speed is measured: enough to be more than its overhead."""
PATH: Final = "/v1/fleet/srflm-doctor"
KNOWN = 404
AT_ONCE: Final = 16


@dataclass(frozen=True)
class Caller:
    """This site as its peers see it: ``certificate`` is the file with what it shows them."""

    vendor: str
    federation: Federation
    identity: Path
    certificate: Path

    def context(self, peer: str) -> ssl.SSLContext:
        """Return the TLS that this site speaks with a peer: both by their agreed keys."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        site_key = self.federation.member(peer).site_key
        if site_key is None:
            context.load_verify_locations(cafile=str(self.identity / "consortium-ca.crt"))
        else:
            pem = authority_for(peer, ec_key(site_key, "site key"))
            context.load_verify_locations(cadata=pem.decode("ascii"))
        context.load_cert_chain(self.certificate, self.identity / "site.key")
        return context


@contextmanager
def caller(vendor: str, federation: Federation, identity: Path) -> Iterator[Caller]:
    """Give this site as a caller; raises IdentityError when its own keys cannot be used."""
    with tempfile.TemporaryDirectory(prefix="srflm-") as folder:
        path = identity / "site.crt"
        if federation.member(vendor).site_key is not None:
            path = Path(folder) / "site.crt"
            path.write_bytes(shown_certificate(identity, vendor))
        yield Caller(vendor, federation, identity, path)


def call_all(calling: Caller, upload: int = 0) -> list[PeerFacts]:
    """Call all peers at once; with an ``upload``, send so many bytes to each, one after another."""
    peers = [name for name in calling.federation.roster if name != calling.vendor]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda peer: call(calling, peer), peers))
    if not upload:
        return found
    # Not together: they would share this site's line, and each would look slow.
    return [call(calling, e.peer, upload) if e.stage == "done" else e for e in found]


def call(calling: Caller, peer: str, upload: int = 0, address: str | None = None) -> PeerFacts:
    """Call one member's edge at its agreed ``address``, or another one."""
    address = address or calling.federation.member(peer).address or ""
    host, port = split_address(address)
    found = PeerFacts(peer, address, "name")
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return replace(found, why="the name does not resolve")
    try:
        plain = socket.create_connection((host, port), timeout=PATIENCE_SECONDS)
    except OSError as error:
        return replace(found, stage="reach", why=_why(error))
    with plain:
        # A head and a body are sent one after the other: without this the body waits for an answer.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            secure = calling.context(peer).wrap_socket(plain, server_hostname=internal_name(peer))
        except ssl.SSLCertVerificationError as error:
            return replace(found, stage="identity", why=_certificate_fault(error))
        except (OSError, ssl.SSLError) as error:
            return replace(found, stage="reach", why=f"no TLS as a site has it: {_why(error)}")
        with secure:
            return _ask(found, secure, internal_name(peer), upload)


def _ask(found: PeerFacts, secure: ssl.SSLSocket, name: str, upload: int) -> PeerFacts:
    connection = http.client.HTTPConnection(name)
    connection.sock = secure
    try:
        before = time.time()
        status, date = _post(connection, b"")
        found = replace(found, ahead=ahead_of(date, before, time.time()))
        if status != KNOWN:
            return replace(found, stage="accept", why=f"it answers {status}")
        found = replace(found, stage="done")
        if not upload:
            return found
        trip, speed = _measured(connection, upload)
        return replace(found, round_trip=trip, speed=speed)
    except (OSError, http.client.HTTPException) as error:
        # With TLS 1.3 a refused certificate may show only here.
        return replace(found, stage="accept", why=f"it breaks off: {_why(error)}")


def _measured(connection: http.client.HTTPConnection, upload: int) -> tuple[float, float]:
    """Return round trip and speed: the edge reads a body to its end before the next call."""
    started = time.monotonic()
    _post(connection, b"")
    trip = time.monotonic() - started
    content = bytes(max(LEAST_BYTES, min(upload, MOST_BYTES)))
    if connection.sock is not None:
        connection.sock.settimeout(PATIENCE_SECONDS + len(content) / SLOWEST)
    started = time.monotonic()
    _post(connection, content)
    _post(connection, b"")
    passed = max(time.monotonic() - started - trip, 1e-6)
    return trip, len(content) / passed


def _post(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, str | None]:
    connection.request("POST", PATH, body=body)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.getheader("Date")


def _why(error: Exception) -> str:
    """Return a reason of the system's own few, without an exception's text."""
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE_SECONDS:.0f} s"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return type(error).__name__


def _certificate_fault(error: ssl.SSLCertVerificationError) -> str:
    return f"another certificate than the agreed one ({error.verify_message.rstrip('.')})"
