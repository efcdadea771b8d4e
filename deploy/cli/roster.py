"""``srflm roster``: approve a new edition of the federation file, or withdraw the approval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.cli.site_options import HERE, SiteFolder
from deploy.processes.private import private_files

app = typer.Typer(no_args_is_help=True, help="Let members join and leave between terms.")


@app.command()
@private_files()
def approve(
    folder: Annotated[Path, typer.Argument(help="the site's folder, with its site.toml")],
    file: Annotated[Path, typer.Argument(help="the new federation.toml")],
) -> None:
    """Approve a new roster; it holds after the next term in which a majority has approved it."""
    from deploy.membership.roster import approve as sign
    from deploy.membership.roster import describe_roster
    from deploy.site.site_on_disk import site_on_disk

    site = site_on_disk(folder.resolve())
    changes = sign(site, file)
    console = Console(highlight=False, soft_wrap=True)
    for what, vendors in (
        ("Joins", changes.joins),
        ("Leaves", changes.leaves),
        ("New address or keys", changes.changed),
    ):
        if vendors:
            console.print(f"{what}: {', '.join(vendors)}")
    console.print(f"Roster: {describe_roster(site)}")


@app.command()
@private_files()
def withdraw(folder: SiteFolder = HERE) -> None:
    """Withdraw this site's approval, while it has not been decided on."""
    from deploy.membership.roster import withdraw as undo
    from deploy.site.site_on_disk import site_on_disk

    withdrawn = undo(site_on_disk(folder.resolve()))
    Console(highlight=False).print("Withdrawn." if withdrawn else "Nothing was waiting.")
