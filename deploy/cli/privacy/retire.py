"""``srflm privacy retire``: give up data with an unknown past, so that a site can continue."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.cli.parts.site_options import HERE
from deploy.processes.private import private_files


@private_files()
def retire(
    site: Annotated[Path, typer.Argument(help="a site's folder", show_default=".")] = HERE,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Give up this site's present data, and all data that its owner's privacy ledger still knows.

    For a ledger that is lost, damaged, or an older copy, and whose newest files are gone.
    Data that is given up never trains with differential privacy again; new data that shares no
    record with it does.

    Example: srflm privacy retire site
    """
    from clients.data.sources import load_vendor_data
    from clients.privacy.ledger.manifest import manifest_of
    from clients.privacy.ledger.recovery import give_up, moved_away
    from deploy.site.privacy_files import adopt_own_ledger, ledger_place, own_ledger
    from deploy.site.site_on_disk import site_on_disk
    from strategies.errors import PrivacyError

    found = site_on_disk(site.resolve())
    settings, federation = found.settings, found.federation
    if not yes:
        typer.confirm("Give up this site's present data for ever?", abort=True)
    place, terms = ledger_place(settings, federation), len(found.state.ledger)
    through = {federation.hash: terms + 1}  # the open term too: it may have trained in that
    with suppress(PrivacyError):  # of an older ledger that cannot be read, the data is given up
        adopt_own_ledger(settings, federation, through)
    data = load_vendor_data(federation.data_plan(), settings.vendor)
    # Validation and test too: their records pay for noisy metrics from the same ledger.
    manifests = [manifest_of(split) for split in (data.train, data.validation, data.test)]
    kept = give_up(place, manifests, "srflm privacy retire", through)
    if place.witness is not None:
        kept = moved_away(own_ledger(settings)) or kept
    console = Console(highlight=False, soft_wrap=True)
    console.print("The present data is given up. The privacy ledger can be used again.")
    console.print(
        "If this site has trained on other data before, give that up too: name it in site.toml and"
        " run the command again."
    )
    if kept is not None:
        console.print(f"The file that could not be used is kept: {kept}")
