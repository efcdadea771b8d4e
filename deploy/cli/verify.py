"""``srflm verify``: check sites' ledgers and compare them, and check model packages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy.cli.parts.site_options import HERE
from deploy.processes.private import private_files
from strategies.errors import ConfigurationError, LedgerError


@private_files()
def verify(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="sites' folders, which are compared, or packages of `srflm export`"),
    ] = None,
    federation: Annotated[
        str | None,
        typer.Option(help="of packages: the federation's hash, as a member has told it"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print what is valid as JSON; an error as text")
    ] = False,
) -> None:
    """Verify chain, signatures, elections, model, and audit of each site; compare the ledgers.

    The audit of each site is compared with what the site has signed in all these ledgers.

    A package, a folder or a .zip file, is verified on any machine: its site's signature, the hash
    of every file, the ledger in it, and that card and model are those that the ledger names.

    Example: srflm verify poc/sites/aster poc/sites/borealis
    """
    from deploy.site.package_files import is_package

    packages = [each for each in folders or () if is_package(each)]
    console, told = Console(highlight=False, soft_wrap=True, quiet=as_json), {}
    if packages:
        told["packages"] = _verify_packages(packages, federation, console)
    at_sites = [each for each in folders or [HERE] if each not in packages]
    if at_sites:
        told["sites"] = _verify_sites(at_sites, console)
    if as_json:
        typer.echo(json.dumps(told, indent=2))


def _verify_packages(
    packages: list[Path], federation: str | None, console: Console
) -> dict[str, object]:
    from deploy.site.package_check import check_package

    told: dict[str, object] = {}
    expected = _digits(federation) if federation is not None else None
    for path in packages:
        found = check_package(path, expected)
        manifest, card = found.manifest, found.card
        console.print(escape(f"{path}: signed by {manifest.vendor}, {len(manifest.files)} files"))
        console.print(escape(f"  {card.federation}: {card.outcome}"))
        console.print(
            f"  {len(found.ledger.hashes)} terms, every link and every signature of a quorum valid"
        )
        console.print(
            f"  {card.kind} model of term {card.term}, {card.weights[:12]}…, "
            + ("not named by the ledger" if card.kind == "moving-average" else "as in the ledger")
        )
        console.print(f"  federation {manifest.federation}")
        told[str(path)] = {
            "vendor": manifest.vendor,
            "federation": manifest.federation,
            "compared": expected is not None,
            "terms": len(found.ledger.hashes),
            "model": card.weights,
            "term": card.term,
            "kind": card.kind,
        }
        if expected is None:
            console.print(
                "  Compare this hash with one that a member has told you: the keys are in that file"
            )
    return told


def _digits(told: str) -> str:
    """Return the hash that was told, without blanks; raises for too few digits."""
    digits = "".join(told.split()).lower()
    if re.fullmatch(r"[0-9a-f]{32,64}", digits) is None:
        raise ConfigurationError(
            f"--federation {told!r}",
            "32 to 64 hexadecimal digits of the federation's hash",
            "ask a member for it: `srflm site join` and `srflm export` print it",
        )
    return digits


def _verify_sites(folders: list[Path], console: Console) -> dict[str, object]:
    from deploy.site.site_on_disk import site_on_disk
    from deploy.site.verification import compare_log, verify_site

    sites = [site_on_disk(folder.resolve()) for folder in folders]
    verified = {}
    for site in sites:
        found = verified[site.vendor] = verify_site(site)
        changes = ", ".join(map(str, found.changes))
        head = f"head model {found.head_model[:12]}" if found.head_model else "no model yet"
        if changes:
            console.print(f"{site.vendor}: the roster changed with term {changes}")
        for each in found.recovered:
            console.print(
                f"{site.vendor}: recovered after term {each.term}, when the quorum was lost; signed"
                f" by {', '.join(each.signatures)}"
            )
        for charge in found.evidence:
            console.print(f"{site.vendor}: evidence that {charge}")
        console.print(
            f"{site.vendor}: {len(found.hashes)} terms, every link and every signature of a"
            f" quorum valid; {head}; {found.audited} messages audited"
        )
        if found.hashes:
            console.print(f"{site.vendor}: last record {len(found.hashes)}:{found.hashes[-1]}")
        unsigned = len(found.hashes) - found.elected
        if unsigned:
            console.print(
                f"{site.vendor}: {unsigned} terms of an older version, in which vendors did not"
                " sign their own figures"
            )
    # A forked ledger is valid in itself; only the comparison with another site's shows it. Sites
    # that are behind are not in contradiction.
    chains = {vendor: found.hashes for vendor, found in verified.items()}
    longest = max(chains.values(), key=len, default=())
    for vendor, hashes in chains.items():
        if longest[: len(hashes)] != hashes:
            raise LedgerError(
                f"the ledger of {vendor}, which contradicts another",
                "ledgers each of which is the beginning of the longest",
                "keep all state folders as they are and look into what the two sites logged",
            )
    behind = [v for v, hashes in chains.items() if len(hashes) < len(longest)]
    if len(chains) > 1:
        verdict = f"agree; behind: {', '.join(behind)}" if behind else "are equal"
        console.print(f"All {len(chains)} ledgers {verdict}.")
    others = [compare_log(site, verified.values()) for site in sites]
    for other in filter(None, others):
        first, last = other.terms[0], other.terms[-1]
        terms = f"term {first}" if first == last else f"terms {first} to {last}"
        console.print(
            f"{other.vendor}: its message log is not the one for which it has signed in {terms}"
        )
    still = [other.vendor for other in others if other is not None and other.still]
    if still:
        raise LedgerError(
            f"a message log of {', '.join(still)} that is shorter than the one for which this"
            " vendor has signed, or another one",
            "the log whose length and last line each of its acceptances names",
            "ask that site's operator: if its state was lost or an older copy was put back, that is"
            " why; else somebody changed the log; the terms do not depend on it",
        )
    return {
        vendor: {
            "terms": len(found.hashes),
            "last-record": found.hashes[-1] if found.hashes else None,
            "head-model": found.head_model,
            "messages": found.audited,
            "behind": vendor in behind,
            "evidence": [str(charge) for charge in found.evidence],
        }
        for vendor, found in verified.items()
    }
