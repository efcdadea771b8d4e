"""``srflm site``: make a new site with its own keys, and let it join a consortium."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Make a site, and let it join a consortium.")


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(help="the site's folder")],
    vendor: Annotated[str, typer.Option(help="this vendor's name")],
    roster: Annotated[str, typer.Option(help="all members' names, with commas between")],
    address: Annotated[str, typer.Option(help="host:port at which the others reach this site")],
    listen: Annotated[str, typer.Option(help="ip:port to listen on")] = "0.0.0.0:8443",
) -> None:
    """Make keys and a site.toml; name the file for the consortium, which has public parts only."""
    from deploy.edge.addresses import check_own_address
    from deploy.membership.joining import new_site

    check_own_address(address)
    names = [name.strip() for name in roster.split(",") if name.strip()]
    path = new_site(folder, vendor, names, listen, address)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Send {path} to the consortium. Private keys stay in {folder / 'identity'}.")
    console.print(f"Then:  srflm site join {folder} FOLDER-FROM-THE-CONSORTIUM")


@app.command()
def join(
    folder: Annotated[Path, typer.Argument(help="the site's folder")],
    answer: Annotated[Path, typer.Argument(help="the folder that the consortium sent back")],
) -> None:
    """Install the certificate and the federation file that the consortium sent back."""
    from deploy.membership.confirming import unsigned
    from deploy.membership.joining import join as install
    from deploy.site.privacy_files import ledger_if_private
    from deploy.site.settings import load_site

    federation = install(folder, answer)
    console = Console(highlight=False, soft_wrap=True)
    edition = f", edition {federation.edition}" if federation.edition > 1 else ""
    console.print(f"Member of {federation.name}{edition}. The federation file has the hash")
    console.print(f"  {federation.hash}")
    console.print("Compare this by telephone with the other members: it covers all their keys.")
    settings = load_site(folder)
    ledger = ledger_if_private(settings, settings.load_federation())
    if ledger is not None:
        console.print(f"Uses of the data count in {ledger}, for all federations of its owner.")
    missing = unsigned(settings.federation, federation)
    if missing:
        console.print(f"Not signed yet: {', '.join(missing)}. Next, with the hash as you hear it:")
        console.print(f"  srflm site confirm {folder} HASH")
    else:
        console.print(f"All members have signed it. Next:  srflm up {folder}")


@app.command()
def confirm(
    folder: Annotated[Path, typer.Argument(help="the site's folder")],
    heard: Annotated[
        str,
        typer.Argument(metavar="HASH", help="the hash that another member has read to you"),
    ],
) -> None:
    """Sign the federation file, after its hash was compared with the other members by telephone."""
    from deploy.membership.confirming import confirm as sign
    from deploy.site.site_on_disk import site_on_disk

    path = sign(site_on_disk(folder.resolve()), heard)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Signed. Send {path} to the consortium; its next answer has all signatures.")
