"""The names of vendors, federations and hosts, as they may stand in a certificate."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

from cryptography import x509

from strategies.errors import ConfigurationError

INTERNAL: Final = "srflm.internal"
"""The domain of the names that tell vendors apart; it is in no DNS."""
VENDOR = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
FEDERATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
HOST = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,251}[a-z0-9])?")


def internal_name(vendor: str) -> str:
    """Return the DNS name that the certificate of ``vendor``'s site always carries."""
    return f"{vendor}.{INTERNAL}"


def check_name(name: str, pattern: re.Pattern[str]) -> None:
    """Raise :class:`ConfigurationError` unless all of ``name`` fits ``pattern``."""
    if not pattern.fullmatch(name):
        raise ConfigurationError(f"the name {name!r}", f"one like {pattern.pattern}", "rename it")


def alternative_name(address: str) -> x509.GeneralName:
    """Return a host name or an IP as it stands in a certificate.

    Raises :class:`ConfigurationError` for anything else, and for a name under :data:`INTERNAL`.
    """
    with suppress(ValueError):
        return x509.IPAddress(ip_address(address))
    host = address.lower().rstrip(".")
    if not HOST.fullmatch(host):
        raise ConfigurationError(
            f"the address {address!r}", "a host name or an IP, without a port", "correct it"
        )
    # Such a name would let the site pass for another vendor's.
    if host == INTERNAL or host.endswith(f".{INTERNAL}"):
        raise ConfigurationError(
            f"the address {address!r}",
            f"no name under {INTERNAL}: there, the name says which vendor it is",
            "leave it out: the vendor's own is in its certificate anyway",
        )
    return x509.DNSName(host)
