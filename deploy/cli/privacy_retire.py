"""``srflm privacy retire``: give up data with an unknown past, so that a site can continue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.cli.site_options import HERE
from deploy.processes.private import private_files


@private_files()
def retire(
    site: Annotated[Path, typer.Argument(help="a site's folder", show_default=".")] = HERE,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Give up this site's present data, and all data that its privacy ledger still knows.

    For a ledger that is lost, damaged, or an older copy, and whose newest files are gone.
    Data that is given up never trains with differential privacy again; new data that shares no
    record with it does.
    """
    from clients.data.sources import load_vendor_data
    from clients.privacy.ledger.manifest import manifest_of
    from clients.privacy.ledger.recovery import give_up
    from deploy.site.privacy_files import anchor_path, ledger_path
    from deploy.site.settings import load_site

    settings = load_site(site.resolve())
    if not yes:
        typer.confirm("Give up this site's present data for ever?", abort=True)
    data = load_vendor_data(settings.load_federation().data_plan(), settings.vendor)
    # Validation and test too: their records pay for noisy metrics from the same ledger.
    manifests = [manifest_of(split) for split in (data.train, data.validation, data.test)]
    kept = give_up(ledger_path(settings), anchor_path(settings), manifests, "srflm privacy retire")
    console = Console(highlight=False, soft_wrap=True)
    console.print("The present data is given up. The privacy ledger can be used again.")
    console.print(
        "If this site has trained on other data before, give that up too: name it in site.toml and"
        " run the command again."
    )
    if kept is not None:
        console.print(f"The file that could not be used is kept: {kept}")
