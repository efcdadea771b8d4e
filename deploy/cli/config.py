"""``srflm config``: check a federation file and its data, or print it with all defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.cli.parts.options import FederationFile, chosen_federation

if TYPE_CHECKING:
    from clients.networks.facts import NetworkFacts
    from srflm_flower.federation.federation import Federation

app = typer.Typer(no_args_is_help=True, help="Check and show federation files.")


@app.command()
def check(federation_file: FederationFile = None) -> None:
    """Check the file, its network, and the data of every vendor that has a path in it.

    Shows the network's size, and the numbers of examples by split and class.

    Example: srflm config check federation.toml
    """
    from srflm_flower.federation.entries import check_entries
    from srflm_flower.federation.left_over import about_left_over
    from srflm_flower.federation.network_trial import check_initial_weights, try_network_of
    from srflm_flower.federation.preflight import count_examples, without_path

    federation, console = chosen_federation(federation_file), Console()
    # First, as it needs no data: who has none yet learns whether the network is right.
    facts = try_network_of(federation)
    console.print(about_network(facts, federation))
    check_initial_weights(federation)
    check_entries(federation)
    if (initial := federation.model.initial_weights) is not None:
        # escape: "[…]" in a file's name is no markup.
        name = escape(initial.file.name)
        console.print(f"All begin with the weights in {name} (SHA-256 {initial.sha256[:12]}…).")
    features = federation.model.features
    if features is not None and features.file is not None and features.sha256 is not None:
        name = escape(features.file.name)
        console.print(f"Features are by the weights in {name} (SHA-256 {features.sha256[:12]}…).")
    counts = count_examples(federation)
    for size in sorted({count.size for count in counts.values()} - {facts.size}):
        try_network_of(federation, size)
    unknown = without_path(federation)
    if unknown:
        names = ", ".join(unknown) if _has_roster(federation_file) else "its vendors, none yet"
        console.print(
            f"Not checked: the data of {names}, of which the file names no path. That"
            " is right for a file that sites agree on: each site names its own in site.toml, and"
            " checks it itself. A simulation needs the paths.",
            soft_wrap=True,
        )
    table = Table(title=f"{federation.name}: {len(federation.roster)} vendors")
    for heading in ("vendor", "training", "validation", "test", "training examples by class"):
        table.add_column(heading, justify="left" if heading.startswith("vendor") else "right")
    for vendor, count in counts.items():
        by_class = " ".join(str(number) for number in count.by_class)
        table.add_row(vendor, str(count.train), str(count.validation), str(count.test), by_class)
    if counts:
        console.print(table)
    console.print(about_left_over(federation), end="", markup=False, soft_wrap=True)
    console.print(f"The federation file is valid; its identity is {federation.hash[:12]}.")


def _has_roster(file: Path | None) -> bool:
    from srflm_flower.federation.reading import read

    return file is not None and bool(read(file).get("vendors"))


@app.command("from-bundle")
def from_bundle(
    bundle: Annotated[
        Path, typer.Argument(help="folder of a MONAI bundle, or its configuration file")
    ],
    weights: Annotated[
        Path | None, typer.Option(help="write the bundle's weights to this .safetensors file")
    ] = None,
) -> None:
    """Print [task] and [model] for the network of a MONAI bundle; nothing of it is run.

    Read are network_def, the plain values to which it refers, and with --weights the weights.

    Example: srflm config from-bundle spleen_ct_segmentation --weights spleen.safetensors
    """
    from clients.bundles.initial_file import write_initial_weights
    from clients.bundles.reading import read_bundle

    found = read_bundle(bundle)
    # First the weights: a bundle whose weights are refused prints nothing.
    agreed = write_initial_weights(found.weights, weights) if weights is not None else ""
    typer.echo(found.to_toml() + agreed, nl=False)


def about_network(facts: NetworkFacts, federation: Federation) -> str:
    """Return what a network is like, in a few sentences."""
    batch = (
        "It normalises over the batch, which wants batches of more than a few images."
        if facts.over_batch
        else "It does not normalise over the batch."
    )
    if facts.over_image and federation.task.target == "image":
        batch += " It normalises each image by itself, which removes absolute intensity (HU)."
    guessed = "" if federation.image_shape else ", a size that suits, as the file tells none"
    sides = " × ".join(map(str, facts.size))
    return (
        f"Network {federation.model.network}: {facts.parameters:,} parameters. A client gets and"
        f" sends {facts.sent:,} bytes a round. {batch} It was tried on made-up images of {sides}"
        f" pixels{guessed}."
    )


@app.command()
def entry(
    distribution: Annotated[str, typer.Argument(help="name of an installed distribution")],
) -> None:
    """Print the tables by which a federation agrees on code of an installed distribution.

    One for each entry point in srflm.networks, srflm.tasks, srflm.aggregations, and
    srflm.elections. Every member installs the same build: the hash is of the installed files.

    Example: srflm config entry example-extension
    """
    from deploy.cli.parts.entry_tables import entry_tables

    typer.echo(entry_tables(distribution), nl=False)


@app.command()
def show(federation_file: FederationFile = None) -> None:
    """Print the federation as TOML, with all settings and their meanings.

    Example: srflm config show federation.toml
    """
    from deploy.site.commented_toml import commented_toml

    typer.echo(commented_toml(chosen_federation(federation_file)), nl=False)
