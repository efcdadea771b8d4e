"""What is shown before a request is admitted, and the question that a person answers."""

from __future__ import annotations

import re
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
    from srflm_flower.federation.upgrade import CodeChange


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
    """Print who joins, who leaves, who has another address or other keys, and which code runs."""
    for what, vendors in (
        ("Joins", changes.joins),
        ("Leaves", changes.leaves),
        ("New address or keys", changes.changed),
        ("Code that may run, too (bundle)", changes.accepts),
        ("Code that may run no more (bundle)", changes.refuses),
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


def code_change(accept: str, require: str) -> CodeChange | None:
    """Return the change of code that is asked for; "installed" is the code of this machine."""
    from srflm_flower.federation.upgrade import CodeChange
    from strategies.errors import ConfigurationError

    asked = accept or require
    if not asked:
        return None
    if accept and require:
        raise ConfigurationError(
            "--accept and --require",
            "one of them: first a bundle is accepted, later it is required",
            "publish two editions",
        )
    if asked == "installed":
        from deploy.flower.bundle import installed_hash  # slow to import

        asked = installed_hash()
    if not re.fullmatch("[0-9a-f]{64}", asked):
        raise ConfigurationError(
            f"{asked!r} as a bundle",
            "64 hexadecimal digits, or: installed",
            "copy them from what `srflm --version` prints where the newer code is installed",
        )
    return CodeChange("accept" if accept else "require", asked)
