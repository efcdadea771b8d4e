"""The edge: nginx between a site's Flower and the other sites.

Flower has one port for the Fleet API, which peers need, and for the Control and Runtime APIs, which
let a caller run code. So the SuperLink listens on the loopback interface, and the edge forwards
only the calls of a SuperNode::

    b's SuperNode ─▶ b's edge (loopback) ══ mutual TLS ══▶ a's edge (network) ─▶ a's SuperLink
                     one listener a peer                   one listener

Inbound, the certificate must belong to a roster member, and Flower's node key to the same member,
so that no other peer can use a captured header. Both ways the peer's certificate must have the key
that the federation file names (:mod:`deploy.identity.pins`), so a key that another edition replaces
opens nothing any more. The edge never forwards the path of a request,
but one of :data:`FLEET_CALLS`. The site's own SuperNode does not pass the edge. Use 503 when the
caller should retry. On 401 a SuperNode exits; on 429 it drops the message.

``edge.conf.j2`` beside this file is the configuration, with its reasons. The edge guards the
network only: local users can still reach the SuperLink and the outbound listeners.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)

from clients.files.durable import write_durably
from deploy.door.door import PATHS
from deploy.edge.machines import (
    ANY_IPV6,
    addresses_in_hosts,
    bracketed,
    is_ip,
    nameservers,
    split_address,
    text_of,
)
from deploy.edge.process import SHOWN
from deploy.edge.template import fill
from deploy.identity.keys import NIST_CURVES
from deploy.identity.names import VENDOR, internal_name
from deploy.identity.pins import authority_for, authority_name, shown_certificate
from deploy.processes.log_keeping import Reopening
from strategies.errors import ConfigurationError

# All calls of a SuperNode. register-node is missing: the site's operator registers the nodes.
FLEET_CALLS: Final = (
    "activate-node",
    "deactivate-node",
    "send-node-heartbeat",
    "pull-messages",
    "push-messages",
    "get-run",
    "get-fab",
    "pull-object",
    "push-object",
    "confirm-message-received",
)

# Flower's server closes idle connections after 5 s. The edge must close them earlier, or it sends
# calls into closing connections.
SUPERLINK_IDLE_SECONDS: Final = 3

# Shorter than the 75 s of the peer's edge, for the same reason.
PEER_IDLE_SECONDS: Final = 60

# Debian's users do not have /usr/sbin in their PATH.
NGINX_FOLDERS: Final = (Path("/usr/sbin"), Path("/usr/local/sbin"), Path("/opt/homebrew/bin"))

# A shell as nginx's parent: nginx overwrites its own environment, by which
# `deploy.processes.family` finds processes. The shell passes signals on, and returns nginx's exit
# status; a `wait` that a signal has interrupted is repeated. nginx ends with the shell, however
# that one ends.
FOREGROUND: Final = (
    'python="$1"; shift; "$python" -P -m deploy.processes.mortal $$ "$@" &'
    ' for s in TERM INT QUIT; do trap "kill -$s $!" $s; done;'
    " while :; do wait $!; code=$?; kill -0 $! 2>/dev/null || exit $code; done"
)


@dataclass(frozen=True)
class Peer:
    """Another member: its edge's address, the loopback port that leads there, and its node key.

    ``address`` is ``host:port``; ``node_key`` is the OpenSSH public key of the peer's SuperNode at
    *this* site's SuperLink, ``site_key`` that of its certificate, or empty in a federation that
    began without these.
    """

    address: str
    outbound_port: int
    node_key: str
    site_key: str = ""


@dataclass(frozen=True)
class Edge:
    """One site's edge; ``peers`` are all members of the roster but the vendor itself.

    ``listen`` is ``ip:port`` on the network. ``rate`` (requests per second), ``burst``, and
    ``connections`` hold for each peer. Raises :class:`ConfigurationError` for invalid values.
    """

    vendor: str
    prefix: Path
    identity: Path
    listen: str
    superlink_port: int
    peers: Mapping[str, Peer]
    # Flower sends an array of any size in objects of 5 MiB, two at a time, and a heartbeat beside
    # them; a page of records is 4 MiB, with at most 1 MiB of a model.  So no network needs more.  A
    # SuperLink reads a body before it looks at its signature, so the product of both limits is the
    # memory that one member can take.
    body_limit: str = "16m"
    rate: int = 60
    burst: int = 200
    connections: int = 4

    def __post_init__(self) -> None:
        # All values enter the configuration unescaped, so each is checked here.
        for name in (self.vendor, *self.peers):
            _require(VENDOR.fullmatch(name), f"the name {name!r}", f"one like {VENDOR.pattern}")
        _require(self.vendor not in self.peers, f"{self.vendor} as its own peer", "other members")
        keys = [peer.site_key for peer in self.peers.values()]
        _require(all(keys) or not any(keys), "keys of some peers' certificates", "all or none")
        host, _ = split_address(self.listen)
        _require(is_ip(host), f"listen {self.listen!r}", "an IP of this machine, 0.0.0.0 or [::]")
        for peer in self.peers.values():
            split_address(peer.address)
        ports = [self.superlink_port, *(peer.outbound_port for peer in self.peers.values())]
        _require(len({*ports}) == len(ports), f"the local ports {ports}", "different ports")
        _require(all(0 < port < 65536 for port in ports), f"the local ports {ports}", "1 to 65535")
        _require(
            re.fullmatch(r"[1-9]\d*[kKmMgG]?", self.body_limit),
            f"the body limit {self.body_limit!r}",
            "bytes, or a number with k, m, or g",
        )
        limits = (self.rate, self.burst, self.connections)
        _require(min(limits) > 0, f"the limits {limits}", "positive numbers")
        for path in (
            self.prefix,
            self.identity,
            self.bells,
        ):  # they are between quotes in the configuration
            strange = re.search(r'["\\$\x00-\x1f]', str(path))
            _require(not strange, f"the path {str(path)!r}", 'a path without " \\ $')

    @property
    def bells(self) -> Path:
        """The folder of the site's bells, beside the prefix."""
        return self.prefix.absolute().parent / "bells"

    @property
    def pinned(self) -> bool:
        """Whether a peer is known by the key of its certificate, not by the consortium's word."""
        return any(peer.site_key for peer in self.peers.values())

    @property
    def shown(self) -> Path:
        """The certificate that this edge shows its peers."""
        return (self.prefix / SHOWN if self.pinned else self.identity / "site.crt").absolute()

    @property
    def authorities(self) -> Path:
        """The certificates of the authorities that may sign for those who come in."""
        other = self.identity / "consortium-ca.crt"
        return (self.prefix / "peers.crt" if self.pinned else other).absolute()

    def authority(self, peer: str) -> Path:
        """Return the certificate of the authority that may sign for ``peer``."""
        pinned, other = self.prefix / "peers" / f"{peer}.crt", self.identity / "consortium-ca.crt"
        return (pinned if self.pinned else other).absolute()


@dataclass(frozen=True)
class Route:
    """A peer's values in the configuration, all checked.

    ``certificate`` is its certificate's subject, and issuer where that matters. ``key_header`` is
    its SuperNode's header with the key, ``port`` the loopback port that leads to it. ``addresses``
    are ``ip:port``; without any, nginx resolves ``address``. ``authority`` is the certificate of
    whoever may sign for the peer.
    """

    peer: str
    certificate: str
    key_header: str
    port: int
    internal_name: str
    address: str
    addresses: tuple[str, ...]
    authority: Path


def _require(condition: object, found: str, expected: str) -> None:
    if not condition:
        raise ConfigurationError(found, expected, "correct the site's or the federation's file")


# ---- the configuration -------------------------------------------------------------------------


def nginx_configuration(
    edge: Edge, hosts: str | None = None, resolv_conf: str | None = None
) -> str:
    """Return the text of nginx.conf; ``hosts`` and ``resolv_conf`` are this machine's if None.

    A peer's name is looked up in ``hosts`` now, and otherwise by nginx at each call. Raises
    :class:`ConfigurationError`.
    """
    # At each call, because nginx refuses to start with a fixed name that does not resolve.
    hosts = text_of(Path("/etc/hosts")) if hosts is None else hosts
    resolv_conf = text_of(Path("/etc/resolv.conf")) if resolv_conf is None else resolv_conf
    routes = [_route(edge, name, peer, hosts) for name, peer in edge.peers.items()]
    keys = {route.key_header for route in routes}
    _require(len(keys) == len(routes), "two peers with one node key", "a key each")
    return fill(
        edge=edge,
        prefix=edge.prefix.absolute(),
        identity=edge.identity.absolute(),
        shown=edge.shown,
        routes=routes,
        nameservers=nameservers(resolv_conf),
        fleet_calls=FLEET_CALLS,
        door=PATHS,
        both_kinds=split_address(edge.listen)[0] == ANY_IPV6,
        bells=edge.bells,
        superlink_idle_seconds=SUPERLINK_IDLE_SECONDS,
        peer_idle_seconds=PEER_IDLE_SECONDS,
    )


def _route(edge: Edge, name: str, peer: Peer, hosts: str) -> Route:
    host, port = split_address(peer.address)
    addresses = [host] if is_ip(host) else addresses_in_hosts(host, hosts)
    # Each peer's key is an authority: it must sign for no other peer.
    issuer = f" issued by CN={authority_name(name)}" if edge.pinned else ""
    return Route(
        name,
        f"CN={name}{issuer}",
        flower_key_header(peer.node_key),
        peer.outbound_port,
        internal_name(name),
        f"{host}:{port}",
        tuple(f"{bracketed(each)}:{port}" for each in addresses),
        edge.authority(name),
    )


def flower_key_header(node_key: str) -> str:
    """Return a SuperNode's header ``flwr-public-key`` for this key: base64 of the PEM.

    Raises :class:`ConfigurationError` unless it is an OpenSSH public key of a NIST curve.
    """
    key = ec_key(node_key, "node key")
    return b64encode(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).decode()


def ec_key(line: str, what: str) -> ec.EllipticCurvePublicKey:
    """Return the key of an OpenSSH line; raise ConfigurationError, which says ``what`` it is."""
    try:
        key = load_ssh_public_key(line.encode("utf-8"))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, NIST_CURVES):
        return key
    raise ConfigurationError(
        f"the {what} {line[:60]!r}", "ecdsa-sha2-nistp384 AAAA…", "correct the federation's file"
    )


# ---- the program -------------------------------------------------------------------------------


def find_nginx() -> str:
    """Return the path of nginx; raise :class:`ConfigurationError` if it is not installed."""
    beside = [str(folder / "nginx") for folder in NGINX_FOLDERS]
    found = next(filter(None, map(shutil.which, ["nginx", *beside])), None)
    if found is None:
        raise ConfigurationError(
            "no program nginx", "nginx 1.20 or newer", "sudo apt-get install nginx-light"
        )
    return found


def write_configuration(edge: Edge) -> Path:
    """Write nginx.conf with its folders under the edge's prefix; return the file's path."""
    for folder in (edge.prefix, edge.prefix / "logs", edge.prefix / "tmp", edge.bells):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if edge.pinned:
        write_durably(edge.shown, shown_certificate(edge.identity, edge.vendor))
        pinned = {
            name: authority_for(name, ec_key(peer.site_key, "site key"))
            for name, peer in edge.peers.items()
        }
        for name, authority in pinned.items():
            write_durably(edge.authority(name), authority)
        write_durably(edge.authorities, b"".join(pinned.values()))
    path = edge.prefix / "nginx.conf"
    write_durably(path, nginx_configuration(edge).encode("utf-8"))
    return path


def check_configuration(nginx: str, prefix: Path) -> None:
    """Let nginx check its configuration and keys; raise :class:`ConfigurationError` on a fault."""
    tested = subprocess.run(
        [*_nginx(nginx, prefix), "-t", "-q"], capture_output=True, text=True, check=False
    )
    if tested.returncode != 0:
        raise ConfigurationError(
            f"nginx refuses {prefix / 'nginx.conf'} ({tested.stderr.strip()})",
            "a configuration, certificates, and keys that nginx can read",
            "mend what it names",
        )


def nginx_command(nginx: str, prefix: Path) -> list[str]:
    """Return the command that runs the edge in the foreground.

    TERM ends nginx at once; the peers try the calls again that it has broken off.
    """
    return ["/bin/sh", "-c", FOREGROUND, "srflm-edge", sys.executable, *_nginx(nginx, prefix)]


def log_reopening(prefix: Path) -> Reopening:
    """Return how the supervisor rotates the edge's logs."""
    return Reopening(program="edge", logs=prefix / "logs", pid=prefix / "nginx.pid")


def _nginx(nginx: str, prefix: Path) -> list[str]:
    folder = prefix.absolute()
    options = ["-p", f"{folder}/", "-e", f"{folder}/logs/error.log"]
    return [nginx, *options, "-c", f"{folder}/nginx.conf"]
