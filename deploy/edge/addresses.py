"""The addresses at which sites reach each other, checked where somebody types one."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

from deploy.edge.machines import is_ip
from deploy.edge.nginx import split_address
from strategies.errors import ConfigurationError

EXAMPLE: Final = "host:port as aster.example.org:8443, or [2001:db8::7]:8443"


def check_own_address(address: str, where: str = "--address") -> None:
    """Check the address that a site gives to the others, as far as it can be seen here.

    Raises :class:`ConfigurationError` that says ``where`` it is, and names the mistake: a scheme, a
    path, no port, an address at which nobody else can reach a site, or no host.
    """
    mistake = _mistake(address)
    if mistake is not None:
        raise ConfigurationError(
            f"{where} {address!r}, {mistake}",
            EXAMPLE,
            "give the address at which the other members reach the site",
        )


def _mistake(address: str) -> str | None:
    if "://" in address:
        return "with a scheme"
    if re.search(r"[/?#@]", address):
        return "with more than a host and a port"
    if re.search(r"\s", address) or not address:
        return "with blanks" if address else "which is empty"
    if is_ip(address) and ":" in address:
        return "an IPv6 address without brackets and port"
    if not re.search(r":\d+$", address):
        return "without a port"
    try:
        host, _ = split_address(address)
    except ConfigurationError:
        return "which is no address"
    if is_ip(host):
        return "at which nobody can be reached" if ip_address(host).is_unspecified else None
    last = host.rpartition(".")[2]
    if last.isdigit():
        return "whose host looks like an IP and is none"
    if ".." in host or any(len(part) > 63 or part.strip("-") != part for part in host.split(".")):
        return "whose host no DNS can have"
    return None
