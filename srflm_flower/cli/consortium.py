"""``srflm consortium``: sign the members' certificates and hand out one federation file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Run a consortium's certification authority.")


@app.callback()
def consortium() -> None:
    """Keep ``assemble`` a command of its own."""


@app.command()
def assemble(
    members: Annotated[list[Path], typer.Argument(help="every member's membership.toml")],
    federation: Annotated[
        Path, typer.Option(help="the agreed federation.toml, without addresses and keys")
    ],
    folder: Annotated[Path, typer.Option(help="the CA's folder; made at the first call")] = Path(
        "consortium"
    ),
) -> None:
    """Sign each member's request; write a folder for each with all that it needs."""
    from deploy.membership import assemble as sign
    from srflm_flower.federation import load_federation

    answers = sign(folder, load_federation(federation), members)
    console = Console(highlight=False, soft_wrap=True)
    for vendor, answer in answers.items():
        console.print(f"Send {answer} to {vendor}.")
    console.print(f"Keep {folder / 'consortium-ca.key'} offline: it is needed to sign again only.")
