"""``srflm config``: check a federation file and its data, or print it with all defaults."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from deploy.cli.options import FederationFile, chosen_federation

app = typer.Typer(no_args_is_help=True, help="Check and show federation files.")


@app.command()
def check(federation_file: FederationFile = None) -> None:
    """Check the file and every vendor's data; show the numbers of examples by split and class."""
    from srflm_flower.federation.preflight import count_examples

    federation = chosen_federation(federation_file)
    counts = count_examples(federation)
    table = Table(title=f"{federation.name}: {len(federation.roster)} vendors")
    for heading in ("vendor", "training", "validation", "test", "training examples by class"):
        table.add_column(heading, justify="left" if heading.startswith("vendor") else "right")
    for vendor, count in counts.items():
        by_class = " ".join(str(number) for number in count.by_class)
        table.add_row(vendor, str(count.train), str(count.validation), str(count.test), by_class)
    console = Console()
    console.print(table)
    console.print(f"The federation file is valid; its identity is {federation.hash[:12]}.")


@app.command()
def show(federation_file: FederationFile = None) -> None:
    """Print the federation as TOML, with all settings and their meanings."""
    from deploy.cli.commented_toml import commented_toml

    typer.echo(commented_toml(chosen_federation(federation_file)), nl=False)
