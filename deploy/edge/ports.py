"""The ports of a site: which are free, and the loopback ports of its programs."""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from deploy.edge.machines import ANY_IPV6, host_of, is_ip, is_ipv6
from deploy.processes.port_claims import claim
from strategies.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
FIRST_PORT, LAST_PORT = 10_000, 32_000
"""Below the ports that operating systems use for outgoing connections."""


@dataclass(frozen=True)
class Ports:
    """The loopback ports of a site; ``supernode`` and ``outbound`` by peer."""

    superlink: int
    supernode: dict[str, int]
    outbound: dict[str, int]


def choose_ports(vendor: str, roster: tuple[str, ...], first: int | None = None) -> Ports:
    """Return free ports for a site, from ``first`` on, or anywhere if ``first`` is None.

    Ports that the site chooses are claimed: no other site chooses them until its programs listen.
    Raises :class:`ConfigurationError` when a port from ``first`` on is in use.
    """
    peers = [peer for peer in roster if peer != vendor]
    count = 1 + len(roster) + len(peers)
    start = first if first is not None else free_block(count)
    if first is not None and not all_free(range(first, first + count)):
        raise ConfigurationError(
            f"a port between {first} and {first + count - 1} that is in use",
            f"{count} free loopback ports from {first} on",
            "end what uses them, or change `ports` in site.toml (left out, the site chooses)",
        )
    numbers = iter(range(start, start + count))
    return Ports(
        superlink=next(numbers),
        supernode={peer: next(numbers) for peer in roster},
        outbound={peer: next(numbers) for peer in peers},
    )


def free_block(count: int) -> int:
    """Return the first of ``count`` consecutive loopback ports that nobody uses, and claim them."""
    chooser = random.SystemRandom()
    for _ in range(200):
        start = chooser.randrange(FIRST_PORT, LAST_PORT - count)
        ports = range(start, start + count)
        if all_free(ports) and claim(ports):
            return start
    raise ConfigurationError(
        f"no {count} free ports in a row", "a machine with free ports", "end some programs"
    )


def require_free(address: str) -> None:
    """Raise :class:`ConfigurationError` when ``host:port`` cannot be listened on."""
    reason = why_not_free(address)
    if reason is not None:
        raise ConfigurationError(
            f"listen = {address!r}, on which nothing can listen ({reason})",
            "an address of this machine and a free port",
            "end the program that uses it, or change `listen` in site.toml and, with the others,"
            " the address in federation.toml",
        )


def why_not_free(address: str) -> str | None:
    """Return why ``ip:port`` cannot be listened on, or None if it can."""
    plain, port = host_of(address), address.rpartition(":")[2]
    if not is_ip(plain):  # nginx would take a name; a site says on which address it listens
        return "no ip:port"
    try:
        family = socket.AF_INET6 if is_ipv6(plain) else socket.AF_INET
        # On [::] the edge listens by IPv4, too (deploy/edge/edge.conf.j2).
        both = plain == ANY_IPV6 and socket.has_dualstack_ipv6()
        with socket.create_server((plain, int(port)), family=family, dualstack_ipv6=both):
            return None
    except OSError as error:
        return os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
    except (ValueError, OverflowError):
        return "no ip:port"


def is_free(port: int) -> bool:
    """Return whether a program could listen on a loopback port."""
    return all_free(range(port, port + 1))


def all_free(ports: range) -> bool:
    """Return whether nobody uses any of these loopback ports."""
    with ExitStack() as held:
        for port in ports:
            probe = held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as their users do
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                return False
    return True
