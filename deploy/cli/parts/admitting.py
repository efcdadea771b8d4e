"""What is shown before a request is admitted, and the question that a person answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from deploy.membership.admitting import MemberCandidate
    from deploy.membership.federation_folder import Candidate, FederationFolder
    from srflm_flower.federation.successor import Difference


def show_candidate(candidate: Candidate | MemberCandidate, console: Console) -> None:
    """Print whose request it is, what is new about it, and its fingerprint."""
    from deploy.identity.words import in_lines
    from deploy.membership.request import Request

    request = candidate.request
    at = f" at {escape(request.address)}" if isinstance(request, Request) else ""
    console.print(f"[bold]{escape(request.vendor)}[/]{at}")
    console.print(f"  {candidate.what}; fingerprint:")
    console.print(in_lines(request.fingerprint))


def show_preview(
    place: FederationFolder,
    new: Sequence[Candidate],
    members: Sequence[MemberCandidate],
    console: Console,
) -> None:
    """Print the edition that follows if all are admitted; raises the errors of a false one."""
    from deploy.membership.admitting import preview

    planned, changes = preview(place, new, members)
    console.print(f"The next edition, {planned.edition}, with all of these:")
    show_changes(changes, console, "  ")


def show_changes(changes: Difference, console: Console, indent: str = "") -> None:
    """Print who joins, who leaves, and who has another address or other keys."""
    for what, vendors in (
        ("Joins", changes.joins),
        ("Leaves", changes.leaves),
        ("New address or keys", changes.changed),
    ):
        if vendors:
            console.print(f"{indent}{what}: {', '.join(vendors)}")


def confirmed(candidate: Candidate | MemberCandidate) -> bool:
    """Ask the person at the terminal; raises ConfigurationError where there is none."""
    from strategies.errors import ConfigurationError

    vendor = candidate.request.vendor
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"a request of {vendor}, and no terminal to ask whether its fingerprint was compared",
            'the words that were read out, as --fingerprint "…", or --yes after a comparison',
            "compare them over the telephone, and name one of the two options",
        )
    question = f"Has {vendor} read you these twelve words over the telephone?"
    return typer.confirm(question, default=False)
