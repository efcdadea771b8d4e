"""Names and addresses of machines as nginx needs them."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

from deploy.identity.names import HOST
from strategies.errors import ConfigurationError

ANY_IPV6: Final = "::"
"""Where it stands in ``listen``: all addresses of the machine, of both kinds."""


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[ipv6]:port``; raise ConfigurationError."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:\s]+):(\d{1,5})", address)
    host, port = (host_of(address), int(match[2])) if match else ("", 0)
    # Brackets are for IPv6 alone: without them its colons and the port's are not told apart.
    fits = is_ipv6(host) if address.startswith("[") else HOST.fullmatch(host)
    if not fits or not 0 < port < 65536:
        raise ConfigurationError(
            f"the address {address!r}",
            "host:port or [ipv6]:port",
            "correct the site's or the federation's file",
        )
    return host, port


def host_of(address: str) -> str:
    """Return the host of ``host:port`` as it stands in a certificate: one spelling, no brackets."""
    return one_spelling(address.rpartition(":")[0].strip("[]"))


def one_spelling(host: str) -> str:
    """Return a host's one spelling: an IPv6 address has many, 2001:DB8:0::7 is 2001:db8::7."""
    host = host.lower().rstrip(".")
    return str(ip_address(host)) if is_ip(host) else host


def addresses_in_hosts(host: str, hosts: str) -> list[str]:
    """Return the addresses of ``host`` in the text of /etc/hosts, which nginx does not read."""
    # An address with "%" has a zone (fe80::1%eth0), which nginx does not understand.
    rows = [line.partition("#")[0].lower().split() for line in hosts.splitlines()]
    found = [row[0] for row in rows if host in row[1:] and is_ip(row[0]) and "%" not in row[0]]
    return list(dict.fromkeys(found))


def nameservers(resolv_conf: str) -> list[str]:
    """Return the name servers in the text of /etc/resolv.conf, as nginx writes them."""
    rows = [line.split() for line in resolv_conf.splitlines()]
    found = [row[1] for row in rows if len(row) > 1 and row[0] == "nameserver"]
    return [bracketed(each) for each in found if is_ip(each) and "%" not in each]


def text_of(path: Path) -> str:
    """Return the text of a file; nothing if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def bracketed(address: str) -> str:
    """Return an IP address as it stands before a port."""
    return f"[{address}]" if is_ipv6(address) else address


def is_ipv6(host: str) -> bool:
    """Return whether ``host`` is an IPv6 address."""
    return is_ip(host) and isinstance(ip_address(host), IPv6Address)


def is_ip(host: str) -> bool:
    """Return whether ``host`` is an IP address."""
    with suppress(ValueError):
        return bool(ip_address(host))
    return False
