"""``srflm up``: start a site's programs and keep them running."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.cli.site_options import HERE, SiteFolder
from deploy.processes.private import private_files


@private_files()
def up(
    folder: SiteFolder = HERE,
    detach: Annotated[bool, typer.Option("--detach", help="return once the site is up")] = False,
    restored: Annotated[
        bool,
        typer.Option(
            "--restored",
            help="this site was restored from a copy, and the one that was copied is gone for good",
        ),
    ] = False,
    install: Annotated[
        bool,
        typer.Option("--install", help="write a unit for systemd instead of starting the site"),
    ] = False,
    units: Annotated[
        Path | None, typer.Option(help="with --install: the folder for the unit, if not systemd's")
    ] = None,
) -> None:
    """Check the site, then run its SuperLink, SuperNodes, worker, launcher, and edge.

    Without --detach it stays in the foreground, as systemd wants it; Ctrl-C stops the site. With
    --install it writes a service that runs as the owner of the site's folder, with as few rights
    as a site needs.
    """
    if install:
        _install(folder, units)
        return
    from deploy.operating.control import prepare, start_detached, supervise_here, unresolved
    from deploy.site.deployed_site import site_at

    console = Console(highlight=False, soft_wrap=True)
    config = prepare(folder, restored)
    site = site_at(folder.resolve())
    # A warning only: the edge looks names up at each call, and the peer may get its name later.
    for peer in unresolved(site):
        console.print(f"[yellow]The address of {peer} does not resolve at the moment.[/]")
    console.print(
        f"{site.vendor} of federation {site.federation.name}, listening on {site.settings.listen}"
    )
    if not detach:
        supervise_here(config)  # it does not return
    notes = start_detached(config, folder)
    console.print(
        f"Up (process {notes.supervisor}). `srflm status {folder}`, `srflm down {folder}`"
    )


def _install(folder: Path, units: Path | None) -> None:
    from deploy.operating.service import UNITS, install_unit

    path = install_unit(folder, units or UNITS)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Written: {path}")
    console.print(f"To start it, now and at every boot:  sudo systemctl enable --now {path.name}")
    console.print(f"To see it:  systemctl status {path.name};  srflm status {folder}")
