"""A healthy site for the doctor, with peers that answer in TLS as an edge does."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from deploy.doctor.examination import examine
from deploy.doctor.looks.contact import KNOWN
from deploy.edge.machines import split_address
from deploy.edge.nginx import ec_key
from deploy.edge.ports import free_block
from deploy.identity.pins import authority_for, shown_certificate
from deploy.operating.local_consortium import make_local_sites
from deploy.site.diagnosis import Diagnosis, Severity
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes
from tests.support.tiny import write_tiny_npz

VENDORS = ("a", "b", "c")
PLENTY = 64 * 2**30
DATA = "images.npz"


@dataclass
class PeerStandIn:
    """What a peer answers: its ``status``, and a clock that is ``ahead`` by seconds."""

    status: int = KNOWN
    ahead: float = 0.0


@dataclass
class ExaminedSite:
    """The folder of a's site, its peers by name, and the changes to the machine that it sees."""

    folder: Path
    sites: Path
    federation: Federation
    patch: pytest.MonkeyPatch
    peers: dict[str, PeerStandIn] = field(default_factory=dict)
    open_until_then: ExitStack = field(default_factory=ExitStack)
    _stops: dict[str, ExitStack] = field(default_factory=dict)

    def start(self, peer: str, shows: str | None = None) -> None:
        """Let a peer answer; it shows the certificate of ``shows``, by default its own."""
        self.stop(peer)
        self.peers[peer] = PeerStandIn()
        self._stops[peer] = self.open_until_then.enter_context(ExitStack())
        serving = answering(self, peer, shows or peer, self.peers[peer])
        self._stops[peer].enter_context(serving)

    def stop(self, peer: str) -> None:
        """Let a peer be down."""
        if peer in self._stops:
            self._stops.pop(peer).close()

    def edit(self, name: str, old: str, new: str) -> None:
        """Change the text of a file of the site."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def add(self, line: str) -> None:
        """Put a line at the top of ``site.toml``."""
        path = self.folder / "site.toml"
        path.write_text(f"{line}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")

    def examine(self, quick: bool = False, **options: object) -> Diagnosis:
        """Examine the site."""
        return examine(self.folder, quick, **options)  # type: ignore[arg-type]


@contextmanager
def answering(site: ExaminedSite, peer: str, shows: str, answer: PeerStandIn) -> Iterator[None]:
    """Let ``peer`` answer at its agreed address, with the certificate of the site ``shows``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response_only(answer.status)
            now = self.time_now() + answer.ahead
            self.send_header("Date", formatdate(now, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def time_now(self) -> float:
            import time

            return time.time()

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity = site.sites / shows / "identity"
    certificate = site.folder.parent / f"shown-{shows}.crt"
    certificate.write_bytes(shown_certificate(identity, shows))
    context.load_cert_chain(certificate, identity / "site.key")
    own_key = site.federation.member("a").site_key or ""
    own = authority_for("a", ec_key(own_key, "site key")).decode()
    context.load_verify_locations(cadata=own)
    context.verify_mode = ssl.CERT_REQUIRED
    host, port = split_address(site.federation.member(peer).address or "")

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A caller that hangs up is no fault of a peer."""

        def finish_request(self, request: object, client_address: object) -> None:
            secure = context.wrap_socket(request, server_side=True)  # type: ignore[call-overload]
            super().finish_request(secure, client_address)  # type: ignore[arg-type]
            secure.close()

    with Server((host, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def files_federation(folder: Path, **changes: object) -> Federation:
    """Return a federation of three vendors with files of their own."""
    federation = Federation.model_validate(
        {
            "name": "tiny",
            "vendors": [{"name": name, "path": folder / "set-by-each-site"} for name in VENDORS],
            "task": {"classes": ["rows", "columns", "flat"]},
            "data": {"source": "files"},
            "training": {"batch-size": 8, "learning-rate": 0.05},
            "run": {"rounds": 3},
        }
    )
    return with_changes(federation, **changes) if changes else federation


def make_sites(folder: Path, **changes: object) -> Path:
    """Make joined sites with data, none of them up; return the folder that holds them."""
    first = free_block(len(VENDORS))
    addresses = {name: f"127.0.0.1:{first + n}" for n, name in enumerate(VENDORS)}
    federation = files_federation(folder, **changes)
    sites = make_local_sites(folder, federation, addresses, data=DATA)
    for number, site in enumerate(sites.values()):
        write_tiny_npz(site / DATA, number)
    return folder / "sites"


def opened(sites: Path, patch: pytest.MonkeyPatch) -> ExaminedSite:
    """Return a's site with peers that answer, on a machine with memory enough."""
    memory = psutil.virtual_memory()._replace(total=PLENTY, available=PLENTY)
    patch.setattr(psutil, "virtual_memory", lambda: memory)
    federation = load_federation(sites / "a" / "federation.toml")
    site = ExaminedSite(sites / "a", sites, federation, patch)
    for peer in VENDORS[1:]:
        site.start(peer)
    return site


def flagged(found: Diagnosis) -> set[tuple[str, Severity]]:
    """Return the codes and severities of all that is not in order."""
    return {(line.code, line.severity) for line in found.lines if line.severity != "ok"}
