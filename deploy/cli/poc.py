"""``srflm poc``: try a whole consortium on one machine, with real processes, keys, and TLS."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.processes.private import private_files
from strategies.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True, help="Try a deployment: several sites on one machine.")
Folder = Annotated[Path, typer.Option(help="where the sites lie")]
POC = Path("poc")


@app.command()
@private_files()
def up(
    vendors: Annotated[int, typer.Option(help="sites of the built-in phantom", min=2)] = 4,
    federation: Annotated[
        Path | None, typer.Option(help="a federation.toml instead of the built-in phantom")
    ] = None,
    folder: Folder = POC,
) -> None:
    """Make the sites, each with keys of its own, and bring them up.

    Example: srflm poc up --vendors 3
    """
    from deploy.operating.local_consortium import bring_up_all, make_or_open
    from srflm_flower.federation.loading import built_in_federation, load_federation

    chosen = load_federation(federation) if federation else built_in_federation(vendors)
    console = Console(highlight=False, soft_wrap=True)
    sites = make_or_open(folder, chosen)  # sites of an earlier call keep their keys and ledgers
    with console.status("Starting the sites …"):
        missing = bring_up_all(sites)
    table = Table(title=f"{chosen.name}: {len(sites)} sites")
    for heading in ("vendor", "listens on", "folder"):
        table.add_column(heading)
    for vendor, site in sites.items():
        table.add_row(vendor, site.settings.listen, str(site.folder))
    console.print(table)
    for vendor, peers in missing.items():
        console.print(f"[yellow]{vendor} does not see {', '.join(peers)} yet.[/]")
    first = next(iter(sites.values())).folder
    console.print(f"Run:   srflm run {first} --rounds 8")
    console.print(f"Look:  srflm status {first}")
    console.print(f"End:   srflm poc down --folder {folder}")


@app.command()
@private_files()
def down(
    folder: Folder = POC,
    delete: Annotated[bool, typer.Option("--delete", help="delete the folder, too")] = False,
) -> None:
    """Stop all sites in the folder.

    Example: srflm poc down --delete
    """
    from deploy.operating.running import bring_down

    console = Console(highlight=False, soft_wrap=True)
    sites = sorted(path.parent for path in folder.glob("sites/*/site.toml"))
    if not sites:
        raise ConfigurationError(
            f"no sites in {folder}", "a folder made by `srflm poc up`", "name it with --folder"
        )
    for site in sites:
        console.print(f"{site.name}: {'down' if bring_down(site) else 'was not up'}")
    # Only after all sites are down: a running site would go on with deleted files.
    if delete:
        shutil.rmtree(folder)
