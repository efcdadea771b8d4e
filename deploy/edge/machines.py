"""Names and addresses of machines as nginx needs them."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path


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
    return f"[{address}]" if isinstance(ip_address(address), IPv6Address) else address


def is_ip(host: str) -> bool:
    """Return whether ``host`` is an IP address."""
    with suppress(ValueError):
        return bool(ip_address(host))
    return False
