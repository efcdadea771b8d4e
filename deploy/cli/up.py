"""``srflm up``: start a site's programs and keep them running."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

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
) -> None:
    """Check the site, then run its SuperLink, SuperNodes, worker, launcher, edge, and page.

    Without --detach it stays in the foreground, as systemd wants it; Ctrl-C stops the site.
    """
    from deploy.operating.control import prepare, start_detached, supervise_here, unresolved
    from deploy.page.starting import address_of
    from deploy.site.deployed_site import site_at
    from deploy.site.layout import Layout

    console = Console(highlight=False, soft_wrap=True)
    config = prepare(folder, restored)
    site = site_at(folder.resolve())
    # A warning only: the edge looks names up at each call, and the peer may get its name later.
    for peer in unresolved(site):
        console.print(f"[yellow]The address of {peer} does not resolve at the moment.[/]")
    console.print(
        f"{site.vendor} of federation {site.federation.name}, listening on {site.settings.listen}"
    )
    address = address_of(Layout.of(site.settings)) if site.settings.page.show else None
    if address is not None:
        # Only to a person: the journal of a service is for other eyes, too.
        shown = address.entrance if console.is_terminal or detach else address.url
        console.print(f"Page: {escape(shown)}")
    if not detach:
        supervise_here(config)  # it does not return
    notes = start_detached(config, folder)
    console.print(
        f"Up (process {notes.supervisor}). `srflm status {folder}`, `srflm down {folder}`"
    )
