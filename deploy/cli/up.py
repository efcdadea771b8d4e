"""``srflm up``: start a site's programs and keep them running."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy.cli.doctor import in_short, show_lines
from deploy.cli.parts.site_options import HERE, SiteFolder
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
    skip_doctor: Annotated[
        bool,
        typer.Option(
            "--skip-doctor",
            help="in an emergency: start without the quick examination of `srflm doctor`",
        ),
    ] = False,
) -> None:
    """Examine the site, then run its SuperLink, SuperNodes, worker, launcher, edge, and page.

    Errors of the examination stop it; `srflm doctor` looks at more. Without --detach it stays in
    the foreground, as systemd wants it; Ctrl-C stops the site. With --install it writes a service
    that runs as the owner of the site's folder, with as few rights as a site needs. Example: srflm
    up site --detach
    """
    if install:
        _install(folder, units)
        return
    from deploy.doctor.new_keys import switch_if_known
    from deploy.operating.control import prepare, start_detached, supervise_here
    from deploy.page.starting import address_of
    from deploy.site.deployed_site import site_at
    from deploy.site.layout import Layout

    console = Console(highlight=False, soft_wrap=True)
    if switch_if_known(folder):
        console.print("The edition with this site's new keys holds: it has taken them up.")
    if skip_doctor:
        console.print("[yellow]Not examined: data, clock, disk, memory, peers (--skip-doctor).[/]")
    else:
        _examine(folder, console)
    config = prepare(folder, restored)
    site = site_at(folder.resolve())
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


def _install(folder: Path, units: Path | None) -> None:
    from deploy.operating.service import UNITS, install_unit

    path = install_unit(folder, units or UNITS)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Written: {path}")
    console.print(f"To start it, now and at every boot:  sudo systemctl enable --now {path.name}")
    console.print(f"To see it:  systemctl status {path.name};  srflm status {folder}")


def _examine(folder: Path, console: Console) -> None:
    """Examine the site, print what is not in order, and stop at errors."""
    from deploy.doctor.examination import examine
    from deploy.doctor.fitness import require_fit
    from deploy.operating.running import read_notes
    from deploy.site.layout import Layout
    from deploy.site.settings import load_site

    if read_notes(Layout.of(load_site(folder.resolve()))) is not None:
        return  # the site is up, and `prepare` says so
    found = examine(folder, quick=True)
    show_lines((*found.of("warning"), *found.of("error")), console)
    console.print(in_short(found))
    require_fit(found, folder)
