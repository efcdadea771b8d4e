"""Editions of a federation file: the same federation with another roster, or with newer code.

A new edition lets a member join, leave, move, or change its keys, or lets the members upgrade
(:mod:`srflm_flower.federation.upgrade`).  A quorum of the roster has to
approve the edition, and it holds from the term after the record that carries the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.federation.member import Member
from srflm_flower.federation.upgrade import code_problems
from strategies.errors import ConfigurationError

FREE = ("run", "edition", "previous", "first", "vendors", "bundle", "accepted_bundle")


@dataclass(frozen=True)
class Difference:
    """The changes of a new edition; ``changed`` vendors have another address or keys.

    ``accepts`` are the hashes of bundles with which a site may run from now on, and ``refuses``
    those with which it may not any more.
    """

    joins: tuple[str, ...]
    leaves: tuple[str, ...]
    changed: tuple[str, ...]
    accepts: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()


def difference(old: Federation, new: Federation) -> Difference:
    """Return the vendors that join, leave, or change address or keys, and the changes of code."""
    before = {member.name: member for member in old.vendors}
    after = {member.name: member for member in new.vendors}
    stay = [name for name in before if name in after]
    changed = [name for name in stay if _about(before[name], stay) != _about(after[name], stay)]
    return Difference(
        tuple(name for name in after if name not in before),
        tuple(name for name in before if name not in after),
        tuple(changed),
        tuple(each for each in new.bundles if each not in old.bundles),
        tuple(each for each in old.bundles if each not in new.bundles),
    )


def _about(member: Member, peers: Sequence[str]) -> tuple[object, ...]:
    # Newcomers give every member further node keys, and those for a vendor that leaves go with it:
    # neither is a change of the member itself.
    keys = member.node_keys or {}
    known = tuple(keys.get(peer) for peer in peers if peer in keys)
    nodes = known if len(known) == len(peers) else None
    return member.address, member.signing_key, member.site_key, nodes


def successor(
    old: Federation, vendors: Sequence[Member], min_clients: int | None = None
) -> Federation:
    """Return the edition after ``old`` with this roster.

    ``min_clients`` replaces that of ``old``, which a smaller roster may be unable to meet.  Raises
    :class:`ConfigurationError` if the edition is not a valid federation.
    """
    # A vendor's number seeds the division of its data, so it must not change with its position.
    numbers = _numbers(old)
    following = max(numbers.values()) + 1
    members: list[dict[str, Any]] = []
    for vendor in vendors:
        if vendor.name not in numbers:
            numbers[vendor.name], following = following, following + 1
        members.append(vendor.model_dump() | {"number": numbers[vendor.name]})
    return with_changes(
        old,
        vendors=members,
        edition=old.edition + 1,
        previous=old.hash,
        first=old.first_edition.model_dump(),
        aggregation__min_clients=(
            min_clients if min_clients is not None else old.aggregation.min_clients
        ),
    )


def recovered_edition(
    old: Federation,
    lost: Sequence[str],
    term: int,
    head: str,
    min_clients: int | None = None,
) -> Federation:
    """Return the edition after ``old`` that goes on without the ``lost`` vendors.

    It goes on from the record with the hash ``head``, which is of ``term``.

    Raises :class:`ConfigurationError` if it is not a valid federation.
    """
    roster = [name for name in old.roster if name not in lost]
    members = [
        member.model_copy(
            update={"node_keys": {p: k for p, k in (member.node_keys or {}).items() if p in roster}}
        )
        for member in old.vendors
        if member.name in roster
    ]
    heads = [each.model_dump() for each in old.recovered or ()]
    new = successor(old, members, min_clients)
    return with_changes(new, recovered=[*heads, {"term": term, "hash": head}])


def check_successor(old: Federation, new: Federation) -> None:
    """Check that ``new`` is the edition after ``old`` and changes nothing but roster and code.

    ``[run]``, ``data.path``, and ``aggregation.min-clients`` may differ too, the latter as a
    smaller roster may be unable to meet it.  Raises :class:`ConfigurationError` with all problems
    at once.
    """
    problems = []
    if new.edition != old.edition + 1:
        problems.append(f"edition: found {new.edition}; expected {old.edition + 1}")
    if new.previous != old.hash:
        problems.append(f"previous: found {_short(new.previous)}; expected {old.hash[:12]}…")
    if new.first != old.first_edition:
        problems.append("[first]: found other values; expected those of this federation")
    problems += [
        f"{table}: found another value than edition {old.edition} has; expected the same"
        for table in changed_settings(old, new)
    ]
    problems += code_problems(old, new)
    numbers = _numbers(old)
    problems += [
        f"vendors.{name}.number: found {number}; expected {numbers[name]}"
        for name, number in _numbers(new).items()
        if name in numbers and numbers[name] != number
    ]
    # A site at the old edition would neither know nor be known by a site at the new one.
    if _has_site_keys(new) != _has_site_keys(old):
        problems.append("site-key: found a change; expected keys in both editions or in none")
    if not problems and (new.vendors, new.bundles) == (old.vendors, old.bundles):
        problems.append("vendors: found the roster of the edition before; expected a change")
    if problems:
        raise ConfigurationError(
            f"{len(problems)} problem(s) in the new edition:\n"
            + "\n".join(f"  - {problem}" for problem in problems),
            f"the edition after {old.edition} of federation {old.name}, with another roster"
            " or newer code only",
            "have the consortium make it: `srflm federation publish`",
        )


def changed_settings(old: Federation, new: Federation) -> list[str]:
    """Return the tables and keys that no edition may change, and that differ all the same."""
    before, after = _agreed(old), _agreed(new)
    return [table for table in before if before[table] != after[table]]


def _agreed(federation: Federation) -> dict[str, Any]:
    """Return the tables and keys that no new edition may change."""
    tree = federation.model_dump(mode="json", by_alias=True, exclude=set(FREE))
    # Each site has paths of its own.
    tree["data"].pop("path", None)
    for table in ("initial-weights", "features"):
        (tree["model"][table] or {}).pop("file", None)
    tree["aggregation"].pop("min-clients", None)
    return tree


def _has_site_keys(federation: Federation) -> bool:
    return any(member.site_key is not None for member in federation.vendors)


def _numbers(federation: Federation) -> dict[str, int]:
    """Return the number that seeds each vendor's data; by default its position in the roster."""
    return {
        member.name: member.number if member.number is not None else place
        for place, member in enumerate(federation.vendors)
    }


def _short(text: str | None) -> str:
    return f"{text[:12]}…" if text else "none"
