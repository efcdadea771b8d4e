"""``srflm consortium``: sign the members' certificates and hand out one federation file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Run a consortium's certification authority.")


@app.command()
def assemble(
    members: Annotated[
        list[Path] | None, typer.Argument(help="the members' membership.toml")
    ] = None,
    federation: Annotated[
        Path | None,
        typer.Option(
            help="the agreed federation.toml, without addresses and keys; with --change only to"
            " take newcomers' [[vendors]] tables and aggregation.min-clients from"
        ),
    ] = None,
    change: Annotated[
        Path | None,
        typer.Option(help="the federation.toml in force: make the edition that follows it"),
    ] = None,
    leaves: Annotated[str, typer.Option(help="with --change: who leaves, commas between")] = "",
    folder: Annotated[Path, typer.Option(help="the CA's folder; made at the first call")] = Path(
        "consortium"
    ),
) -> None:
    """Sign each member's request; write a folder for each with all that it needs.

    With --change: give the memberships of those that join, and new ones of all that stay, made by
    `srflm site new` with the new roster; where members only leave, none are needed.

    Example: srflm consortium assemble aster.toml borealis.toml --federation federation.toml
    """
    from deploy.membership.consortium import assemble as sign
    from deploy.membership.consortium import assemble_change
    from srflm_flower.federation.loading import load_federation
    from strategies.errors import ConfigurationError

    base = load_federation(federation) if federation is not None else None
    console = Console(highlight=False, soft_wrap=True)
    if change is not None:
        names = [name.strip() for name in leaves.split(",") if name.strip()]
        old = load_federation(change)
        answers = assemble_change(folder, old, members or [], names, base)
        console.print("Every member, those that leave too, approves the new edition:")
        console.print(f"  srflm roster approve SITE {folder / 'federation.toml'}")
    elif base is not None:
        answers = sign(folder, base, members or [])
    else:
        raise ConfigurationError(
            "neither --federation nor --change",
            "the federation file to begin with, or the one to change",
            "name one of them",
        )
    for vendor, answer in answers.items():
        console.print(f"Send {answer} to {vendor}.")
    console.print(f"Keep {folder / 'consortium-ca.key'} offline: it is needed to sign again only.")
    if change is None:
        console.print("Then collect the members' signatures: `srflm consortium collect FILES`")


@app.command()
def collect(
    files: Annotated[list[Path], typer.Argument(help="what members have sent: signatures.*.toml")],
    folder: Annotated[Path, typer.Option(help="the CA's folder")] = Path("consortium"),
) -> None:
    """Put the members' signatures under the federation file into all members' folders.

    Example: srflm consortium collect signatures.aster.toml signatures.borealis.toml
    """
    from deploy.membership.confirming import collect as put

    missing = put(folder, files)
    console = Console(highlight=False, soft_wrap=True)
    if missing:
        console.print(f"Not signed yet: {', '.join(missing)}.")
    else:
        console.print("All members have signed.")
    console.print(f"Send the folders in {folder / 'members'} again; each site joins once more.")
