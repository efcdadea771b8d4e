"""A member of a federation: its vendor's settings, and its site's address and public keys.

In a simulation no member has an address or keys; in a deployment every member has all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address

from pydantic import Field

from clients.settings import VendorSettings

EC_KEY = "ecdsa-sha2-nistp384"


class Member(VendorSettings):
    """A vendor and, in a deployment, its site and public keys."""

    address: str | None = Field(
        default=None,
        pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:/]+):[0-9]{1,5}$",
        description="host:port at which the other sites reach this vendor's site; left out in a"
        " simulation.",
    )
    signing_key: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="Ed25519 public key (hexadecimal) that verifies what this vendor signs; left"
        " out in a simulation.",
    )
    node_keys: dict[str, str] | None = Field(
        default=None,
        description="By member: the OpenSSH public key (EC P-384) with which this vendor's"
        " SuperNode authenticates to that member's SuperLink; left out in a simulation.",
    )
    site_key: str | None = Field(
        default=None,
        description="OpenSSH public key (EC P-384) of this site's certificate: other sites send to"
        " no server with another one. `srflm consortium assemble` takes it from the site's request;"
        " left out in a simulation, and in a federation that began without it.",
    )


def deployment_problems(members: Sequence[Member]) -> list[str]:
    """Return the problems of the members' addresses and keys; empty if no member has any."""
    if not any(member.address or member.signing_key or member.node_keys for member in members):
        return []
    problems = [problem for member in members for problem in _missing(member, members)]
    problems += _shared(
        [(m.name, _place(m.address)) for m in members], "address", "an address of its own"
    )
    problems += _shared(
        [(m.name, m.signing_key) for m in members], "signing-key", "a key of its own"
    )
    node_keys = [
        (member.name, " ".join(key.split()[:2]))  # a comment does not make another key
        for member in members
        for key in (member.node_keys or {}).values()
    ]
    problems += _shared(node_keys, "node-keys", "a key of its own for each member")
    site_keys = [(member.name, member.site_key) for member in members]
    if any(key is not None for _, key in site_keys):
        problems += [
            f"vendors.{name}.site-key: found {(key or 'nothing')[:40]}; expected a key of type"
            f" {EC_KEY}, as other vendors have one; have the consortium assemble the file again"
            for name, key in site_keys
            if not _is_key(key or "")
        ]
    return problems + _shared(site_keys, "site-key", "a key of its own")


def _place(address: str | None) -> str | None:
    """Return an address in one spelling: an IPv6 address has many."""
    if address is None:
        return None
    host, _, port = address.lower().rpartition(":")
    with suppress(ValueError):
        host = str(ip_address(host.strip("[]")))
    return f"{host} {int(port)}"


def _missing(member: Member, members: Sequence[Member]) -> list[str]:
    place, problems = f"vendors.{member.name}", []
    for name in ("address", "signing_key"):
        if getattr(member, name) is None:
            problems.append(
                f"{place}.{name.replace('_', '-')}: found nothing; expected a value, because other"
                " vendors have sites; add the one that `srflm site new` printed for this vendor"
            )
    names, keys = {each.name for each in members}, member.node_keys or {}
    if set(keys) != names:
        problems.append(
            f"{place}.node-keys: found {', '.join(sorted(keys)) or 'none'}; expected a key"
            f" for each of {', '.join(sorted(names))}; run `srflm site new` with this roster"
        )
    problems += [
        f"{place}.node-keys.{peer}: found no OpenSSH key of type {EC_KEY}; expected one;"
        " copy the whole key that `srflm site new` printed for this vendor"
        for peer, key in keys.items()
        if not _is_key(key)
    ]
    return problems


def _is_key(line: str) -> bool:
    return line.startswith(f"{EC_KEY} ") and len(line.split()) > 1


def _shared(owned: Sequence[tuple[str, str | None]], what: str, expected: str) -> list[str]:
    """Return a problem for every value that occurs twice."""
    first: dict[str, str] = {}
    problems = []
    for vendor, value in owned:
        if value is None:
            continue
        if value in first:
            problems.append(
                f"vendors.{vendor}.{what}: found the same as that of {first[value]};"
                f" expected {expected}; correct one of the two"
            )
        first.setdefault(value, vendor)
    return problems
