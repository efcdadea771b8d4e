"""The command line ``srflm``, with one file for each command."""

# Commands import torch, Flower, and MONAI inside their functions: these take seconds, and
# `srflm --help` must answer at once.

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy.cli import (
    backup,
    compare,
    config,
    consortium,
    data,
    doctor,
    down,
    export,
    federation,
    page,
    poc,
    predict,
    privacy,
    report,
    roster,
    run,
    simulate,
    site,
    status,
    up,
    verify,
    watching,
)
from strategies.errors import ConfigurationError, SrflmError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they can show local variables, and so paths and names
    help="Server-rotating federated learning for medical imaging on Flower.",
)


def _version(wanted: bool) -> None:
    if not wanted:
        return
    from deploy.cli.version import about_version

    typer.echo(about_version())
    raise typer.Exit


@app.callback()
def everywhere(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="versions of this program, Flower, and Python, and the hash of the code",
        ),
    ] = False,
) -> None:
    """Server-rotating federated learning for medical imaging on Flower."""


app.command("simulate")(simulate.simulate)
app.command("compare")(compare.compare)
app.command("predict")(predict.predict)
app.command("doctor")(doctor.doctor)
app.command("up")(up.up)
app.command("down")(down.down)
app.command("status")(status.status)
app.command("page")(page.page)
app.command("logs")(watching.logs.logs)
app.command("run")(run.run)
app.command("stop")(run.stop)
app.command("verify")(verify.verify)
app.command("export")(export.export)
app.command("report")(report.report)
app.command("track")(watching.track.track)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.add_typer(poc.app, name="poc")
app.add_typer(site.app, name="site")
app.add_typer(federation.app, name="federation")
app.add_typer(roster.app, name="roster")
app.add_typer(consortium.app, name="consortium")
app.add_typer(config.app, name="config")
app.add_typer(data.app, name="data")
app.add_typer(privacy.app, name="privacy")


def main() -> None:
    """Run ``srflm``; print a known error in three lines and exit with its code.

    Exit codes: 0 done; 1 the run stopped or failed; 2 wrong usage; 130 interrupted.
    """
    try:
        app()
    except SrflmError as error:
        show_error(error)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells have it


def show_error(error: SrflmError) -> None:
    """Print an error's code, finding, expectation, and remedy on stderr."""
    # soft_wrap leaves long lines to the terminal, so that paths and commands can be copied. escape
    # keeps "[…]" in a text from being read as Rich's markup.
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]Error {error.code}[/]")
    for title, text in (
        ("found", error.found),
        ("expected", error.expected),
        ("to mend it", error.mend),
    ):
        console.print(f"  [bold]{title}:[/] {escape(text)}")
