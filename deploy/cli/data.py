"""``srflm data``: draw a picture of the vendors' images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.options import FederationFile, chosen_federation

app = typer.Typer(no_args_is_help=True, help="Look at the vendors' data.")


@app.callback()
def _group() -> None:
    """Keep ``preview`` a command of its own."""
    # Without a callback typer turns a group of one command into that command.


@app.command()
def preview(
    federation_file: FederationFile = None,
    out: Annotated[Path, typer.Option(help="the PNG to write")] = Path("preview.png"),
) -> None:
    """Write a picture of the vendors' images side by side."""
    from clients.data.preview import write_data_preview

    write_data_preview(out, chosen_federation(federation_file).data_plan())
    typer.echo(f"Wrote {out.resolve()}")
