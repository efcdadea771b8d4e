"""``srflm roster``: approve a new edition of the federation file, or withdraw the approval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.cli.parts.admitting import show_changes
from deploy.cli.parts.site_options import HERE, SiteFolder
from deploy.processes.private import private_files

app = typer.Typer(no_args_is_help=True, help="Let members join and leave between terms.")


@app.command()
@private_files()
def approve(
    folder: Annotated[Path, typer.Argument(help="the site's folder, with its site.toml")],
    file: Annotated[
        Path, typer.Argument(help="the consortium's new answer.toml, or its federation.toml")
    ],
) -> None:
    """Approve a new roster; it holds after the next term in which a quorum has approved it.

    Example: srflm roster approve site answer.toml
    """
    from deploy.membership.answer import is_answer
    from deploy.membership.confirming import confirmations_beside
    from deploy.membership.entering import approve_answer
    from deploy.membership.roster import approve as sign
    from deploy.membership.roster import describe_roster
    from deploy.site.site_on_disk import site_on_disk
    from srflm_flower.federation.loading import load_federation

    site = site_on_disk(folder.resolve())
    if is_answer(file):
        changes, new = approve_answer(site, file)
    else:
        changes, new = sign(site, file), load_federation(file)
    console = Console(highlight=False, soft_wrap=True)
    show_changes(changes, console)
    console.print(f"Roster: {describe_roster(site)}")
    if changes.joins and site.vendor in new.roster:
        own = confirmations_beside(site.settings.federation, new.hash)
        console.print(f"Send {own} to {', '.join(changes.joins)} (or to the consortium).")
    if site.state.ledger.open_order() is None:
        console.print("It is decided in a term: if no run is under way, order one (`srflm run`).")


@app.command()
@private_files()
def withdraw(folder: SiteFolder = HERE) -> None:
    """Withdraw this site's approval, while it has not been decided on.

    Example: srflm roster withdraw site
    """
    from deploy.membership.roster import withdraw as undo
    from deploy.site.site_on_disk import site_on_disk

    withdrawn = undo(site_on_disk(folder.resolve()))
    Console(highlight=False).print("Withdrawn." if withdrawn else "Nothing was waiting.")


@app.command()
@private_files()
def recover(
    folder: Annotated[Path, typer.Argument(help="the site's folder, with its site.toml")],
    file: Annotated[Path, typer.Argument(help="the file that the remaining operators sign")],
    head: Annotated[
        str | None,
        typer.Option(help="begin the file: the record to go on from, as `<term>:<hash>`"),
    ] = None,
    lost: Annotated[str, typer.Option(help="with --head: who is lost, commas between")] = "",
    min_clients: Annotated[
        int | None, typer.Option(help="with --head: another aggregation.min-clients")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="all have signed and this site is down: go on by it")
    ] = False,
) -> None:
    """Go on after the quorum was lost for good: sign the file, and at last --apply it.

    All members that remain sign one after the other, each at a site that is up. At the site of a
    lost member, --apply notes that the others go on.

    Example: srflm roster recover site go-on.toml --apply
    """
    from deploy.membership.recovery import apply_file, propose, read_recovery, sign
    from deploy.operating.asking import who_can_vote
    from deploy.site.site_on_disk import site_on_disk
    from strategies.protocol.recovery import unsigned

    console, site = Console(highlight=False, soft_wrap=True), site_on_disk(folder.resolve())
    if not apply:
        answered, able = who_can_vote(site)
        console.print(f"Answered: {', '.join(answered)}; could vote: {', '.join(able) or 'nobody'}")
        if head is not None:
            names = [name.strip() for name in lost.split(",") if name.strip()]
            propose(site, file, head, names, min_clients, able)
        else:
            sign(site, file, able)
        missing = unsigned(read_recovery(file).recovery)
        console.print(f"Signed. {site.vendor} votes no more in the old roster's next term.")
        if missing:
            console.print(f"Send {file} to {missing[0]}; to sign: {', '.join(missing)}")
        else:
            console.print(
                "All have signed: at every site `srflm down`, then `srflm roster recover"
                f" {folder} {file} --apply`, `srflm up`. Send the file to the lost members too."
            )
        return
    recovery = apply_file(site, file)
    members = ", ".join(recovery.edition.roster)
    if site.vendor in recovery.edition.roster:
        console.print(f"From term {recovery.term + 1} on the members are {members}: `srflm up`")
    else:
        console.print(f"Noted: {members} have gone on without {site.vendor}.")
