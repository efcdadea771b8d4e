"""``srflm verify``: check all links and signatures of sites' ledgers, and compare the ledgers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.cli.site_options import HERE
from deploy.processes.private import private_files
from strategies.errors import LedgerError


@private_files()
def verify(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="one site's folder, or several to compare")
    ] = None,
) -> None:
    """Verify chain, signatures, elections, model, and audit of each site; compare the ledgers.

    The audit of each site is compared with what the site has signed in all these ledgers.
    """
    from deploy.site.site_on_disk import site_on_disk
    from deploy.site.verification import compare_log, verify_site

    console = Console(highlight=False, soft_wrap=True)
    sites = [site_on_disk(folder.resolve()) for folder in folders or [HERE]]
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
    if len(chains) > 1:
        behind = [v for v, hashes in chains.items() if len(hashes) < len(longest)]
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
