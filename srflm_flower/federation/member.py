"""A member of a deployed federation: its vendor's settings, where its site is, and its public keys.

A simulation needs none of the latter; a deployment needs them all.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from clients.settings import VendorSettings


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
        " SuperNode comes to that member's SuperLink; left out in a simulation.",
    )


def deployment_problems(members: Sequence[Member]) -> list[str]:
    """Return what is wrong with the members' sites; none where no member has one."""
    if not any(member.address or member.signing_key or member.node_keys for member in members):
        return []
    problems = [problem for member in members for problem in _missing(member, members)]
    problems += _shared([(m.name, m.address) for m in members], "address", "a site of its own")
    problems += _shared(
        [(m.name, m.signing_key) for m in members], "signing-key", "a key that only it has"
    )
    node_keys = [
        (member.name, " ".join(key.split()[:2]))  # without the comment
        for member in members
        for key in (member.node_keys or {}).values()
    ]
    return problems + _shared(node_keys, "node-keys", "a key of its own for every edge")


def _missing(member: Member, members: Sequence[Member]) -> list[str]:
    place, problems = f"vendors.{member.name}", []
    for name in ("address", "signing_key"):
        if getattr(member, name) is None:
            problems.append(
                f"{place}.{name.replace('_', '-')}: found nothing; expected one, as other vendors"
                " have sites; add what this vendor's `srflm site new` printed"
            )
    names, keys = {each.name for each in members}, member.node_keys or {}
    if set(keys) != names:
        problems.append(
            f"{place}.node-keys: found {', '.join(sorted(keys)) or 'none'}; expected one"
            f" for each of {', '.join(sorted(names))}; run `srflm site new` with this roster"
        )
    problems += [
        f"{place}.node-keys.{peer}: found no OpenSSH key of type ecdsa-sha2-nistp384; expected one"
        for peer, key in keys.items()
        if not key.startswith("ecdsa-sha2-nistp384 ") or len(key.split()) < 2
    ]
    return problems


def _shared(owned: Sequence[tuple[str, str | None]], what: str, expected: str) -> list[str]:
    """Return a problem for every value that occurs twice."""
    first: dict[str, str] = {}
    problems = []
    for vendor, value in owned:
        if value is None:
            continue
        if value in first:
            problems.append(
                f"vendors.{vendor}.{what}: found the one of {first[value]}; expected {expected};"
                " correct the copy"
            )
        first.setdefault(value, vendor)
    return problems
