"""The addresses at which sites reach each other, checked where somebody types one."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from deploy.edge.machines import is_ip, is_ipv6, split_address
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


def listen_for(address: str, listen: str | None = None) -> str:
    """Return where a site with this ``address`` listens: ``listen``, or all that can be reached.

    Raises :class:`ConfigurationError` for a ``listen`` that is no IP with a port.
    """
    if listen is None:
        return "[::]:8443" if is_ipv6(split_address(address)[0]) else "0.0.0.0:8443"
    try:
        fits = is_ip(split_address(listen)[0])
    except ConfigurationError:
        fits = False
    if not fits:  # a name may have several addresses, and others at another start
        raise ConfigurationError(
            f"listen = {listen!r}, which is no IP with a port",
            'an IP of this machine and a port, as in "0.0.0.0:8443" or "[::]:8443"',
            "leave --listen out, or name the address of one interface",
        )
    return listen


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
    if "%" in address:
        return "with a zone, which counts on one machine only"
    try:
        host, _ = split_address(address)
    except ConfigurationError:
        return "which is no address"
    if is_ip(host):
        return _mistake_of_ip(ip_address(host))
    last = host.rpartition(".")[2]
    if last.isdigit():
        return "whose host looks like an IP and is none"
    if ".." in host or any(len(part) > 63 or part.strip("-") != part for part in host.split(".")):
        return "whose host no DNS can have"
    return None


def _mistake_of_ip(ip: IPv4Address | IPv6Address) -> str | None:
    if ip.is_unspecified or ip.is_multicast:
        return "at which nobody can be reached"
    if ip.is_link_local:
        return "which counts on one link only"
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return f"which is the IPv4 address {ip.ipv4_mapped}"
    return None
