"""``srflm page``: show a site's page by hand, whether the site is up or down."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console

from deploy.cli.parts.site_options import HERE, SiteFolder
from deploy.processes.private import private_files


@private_files()
def page(
    folder: SiteFolder = HERE,
    port: Annotated[
        int | None,
        typer.Option(help="loopback port; without it a free one", min=1024, max=65535),
    ] = None,
) -> None:
    """Print the address of a site's page; serve it, until Ctrl-C, if the site itself does not.

    The address holds the token that opens the page: show it to nobody. It works on this machine
    only; from another one, forward the port (docs/how-to/watch.md).

    Example: srflm page site --port 8765
    """
    from deploy.operating.running import read_notes
    from deploy.page.starting import BY_HAND, PROGRAM, address_of, command_of, write_config
    from deploy.site.layout import Layout
    from deploy.site.site_on_disk import site_on_disk

    console = Console(highlight=False, soft_wrap=True)
    site = site_on_disk(folder.resolve())
    layout = Layout.of(site.settings)
    notes = read_notes(layout)
    if port is None and notes is not None and PROGRAM in notes.programs:
        found = address_of(layout)
        if found is not None:
            console.print(found.entrance)
            return
    config = write_config(site, layout, BY_HAND, port)
    found = address_of(layout, BY_HAND)
    assert found is not None  # it has just been written
    console.print(found.entrance)
    console.print("Ctrl-C ends it.")
    command = command_of(config)
    os.execv(command[0], command)  # this process has imported what the page does not need
