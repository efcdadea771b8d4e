"""``srflm backup`` and ``srflm restore``: keep what may be restored of a site, and put it back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy.cli.parts.site_options import HERE, SiteFolder
from deploy.processes.private import private_files


@private_files()
def backup(
    out: Annotated[Path, typer.Option(help="the archive; an older one of this name is replaced")],
    folder: SiteFolder = HERE,
) -> None:
    """Write keys, settings, certified records and models of a site, up or down, to one file.

    It says what is left out, and why.

    Example: srflm backup site --out site-backup.tar
    """
    from deploy.operating.backup import LEFT_OUT, back_up
    from deploy.site.site_on_disk import site_on_disk

    site = site_on_disk(folder.resolve())
    manifest = back_up(site, out)
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        escape(
            f"Written: {out}, {len(manifest.files)} files of {site.vendor}, federation"
            f" {site.federation.name}, edition {manifest.edition}, {manifest.term} terms"
        )
    )
    console.print(
        "It holds this site's private keys and its own model: keep this file as you keep the keys."
    )
    console.print("Left out, as it must not be restored:")
    for what, why in LEFT_OUT:
        console.print(f"  {what}: {why}")


def restore(
    archive: Annotated[Path, typer.Argument(help="a file of `srflm backup`")],
    site: Annotated[Path, typer.Option(help="the site's folder, which may be a new one")] = HERE,
    ledger_kept: Annotated[
        bool | None,
        typer.Option(
            "--ledger-kept/--ledger-copied",
            help="with differential privacy: the owner's privacy ledger on this machine is as its"
            " sites left it, and no copy; or it is a copy",
        ),
    ] = None,
) -> None:
    """Add to a site's folder what is missing there, from an archive; replace nothing.

    The site that was backed up must be gone for good: the restored one takes its place.

    Example: srflm restore site-backup.tar --site site
    """
    from deploy.operating.backup import LEFT_OUT
    from deploy.operating.restore import restore as put_back

    done = put_back(archive, site, ledger_kept)
    console, found = Console(highlight=False, soft_wrap=True), done.manifest
    console.print(
        f"Restored {found.vendor} as of {found.made:%Y-%m-%d %H:%M} UTC, with {found.term} terms:"
    )
    for path in done.written:
        console.print(escape(f"  {path}"))
    for path in done.kept:
        console.print(escape(f"Left as it was, though the archive has another one: {path}"))
    console.print("Not restored, as it was not in the archive:")
    for what, why in LEFT_OUT:
        console.print(f"  {what}: {why}")
    if done.spending_unknown:
        console.print(
            "Nobody knows what this site's data has been used for since. It refuses to train with"
            f" privacy until `srflm privacy retire {site}` gives the data up; run that once the"
            " site has caught up."
        )
    console.print(
        f"Next:  srflm up {site}   (as with --restored: it asks a quorum before it votes)"
    )
    console.print(f"{found.vendor}'s former site must never be started again.")
