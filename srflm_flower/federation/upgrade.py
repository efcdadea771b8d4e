"""Upgrades of a federation's code: the bundles with which its members may run.

An edition of the federation file can accept one further bundle.  Then the members upgrade one by
one, and a later edition requires the new bundle.  Versions of which one does not understand the
other's messages must not be accepted together: their release notes say so.  Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from strategies.errors import ConfigurationError


@dataclass(frozen=True)
class CodeChange:
    """Accept the code of ``bundle`` (its hash) beside the present one, or require it."""

    kind: Literal["accept", "require"]
    bundle: str


def changes_nothing(federation: Federation, change: CodeChange) -> bool:
    """Return whether the members have agreed on this already."""
    if change.kind == "accept":
        return change.bundle in federation.bundles
    return federation.bundles == (change.bundle,)


def with_code(edition: Federation, change: CodeChange) -> Federation:
    """Return the edition with this change of its code.

    Raises :class:`ConfigurationError` for a bundle that is required before it was accepted, and for
    a third one.
    """
    accepted = edition.bundles
    if change.kind == "require" and change.bundle not in accepted:
        raise ConfigurationError(
            f"bundle {change.bundle}, to be required",
            f"one of the accepted ones: {', '.join(accepted) or 'none'}",
            "accept it in an edition before this one, and upgrade every site",
        )
    if change.kind == "accept" and len(accepted) > 1:
        raise ConfigurationError(
            f"bundle {change.bundle} beside {' and '.join(accepted)}",
            "at most two bundles at a time",
            "finish the upgrade that is under way: require one of the two",
        )
    if change.kind == "require":
        return with_changes(edition, bundle=change.bundle, accepted_bundle=None)
    return with_changes(edition, accepted_bundle=change.bundle)


def code_problems(old: Federation, new: Federation) -> list[str]:
    """Return the problems of the new edition's bundles after those of the old one."""
    # Whoever runs what the old edition accepts must be able to go on, at least until it restarts.
    if new.bundle == old.bundle or new.bundle in old.bundles:
        return []
    return [
        f"bundle: found {new.bundle or 'none'}; expected one that edition {old.edition} accepts:"
        f" {', '.join(old.bundles) or 'none'}"
    ]
