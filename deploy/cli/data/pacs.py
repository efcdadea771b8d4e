"""``srflm data pull`` and ``store``: images from a site's PACS, and results back to it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.parts.site_options import HERE
from strategies.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from deploy.pacs.connection import Connection
    from deploy.pacs.pulling import Progress, Pulled
    from deploy.pacs.search import Series

Site = Annotated[Path, typer.Option(help="the site's folder, whose site.toml has [pacs]")]
MEGABYTE = 1e6


def pull(
    query: Annotated[Path, typer.Argument(help="TOML file that says which series are wanted")],
    folder: Annotated[Path, typer.Argument(help="where the series go; made, for you alone")],
    site: Site = HERE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only say how much the query finds")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
) -> None:
    """Fetch the series that fit QUERY from the site's PACS into FOLDER.

    Called again, it goes on where it was interrupted, and fetches nothing twice. Nothing at the
    PACS is changed. A series that does not come whole is left out and counted, and the exit code is
    then 1; the next call tries the rest of it. Afterwards: `srflm data index`.

    Example: srflm data pull query.toml images --site site --dry-run
    """
    from rich.console import Console

    from deploy.pacs import pulling
    from deploy.pacs.query import read_query

    console, wanted = Console(highlight=False, soft_wrap=True), read_query(query)
    with _pacs(site) as pacs, _Shown(console, as_json) as shown:
        if dry_run:
            series, pulled = pulling.look(pacs, wanted, shown)
        else:
            series, pulled = (), pulling.pull(pacs, wanted, folder, shown)
    if as_json:
        typer.echo(json.dumps(_as_json(pulled), indent=2))
    elif dry_run:
        _show_found(console, series)
    else:
        _show(console, pulled, folder / pulling.TABLE)
    if pulled.not_whole:
        raise typer.Exit(1)


def store(
    files: Annotated[list[Path], typer.Argument(help="DICOM SEG files")],
    site: Site = HERE,
) -> None:
    """Send results to the site's PACS: DICOM SEG files, and nothing else.

    It is off until site.toml has store-results = true in [pacs]. All files are looked at before the
    first one is sent; the first that the PACS does not take ends the command.

    Example: srflm data store results/lesion.dcm --site site
    """
    from rich.console import Console

    from deploy.pacs.storing import store as send

    console = Console(highlight=False, soft_wrap=True)
    with _pacs(site) as pacs, _Shown(console, False) as shown:
        send(pacs, files, lambda at, of: shown("files", at, of))
    console.print(f"Stored {len(files)} file(s) at the PACS.")


class _Shown:
    """One line on a terminal that says how far a command is; nothing elsewhere."""

    def __init__(self, console: Console, is_silent: bool) -> None:
        self._status = console.status("asking the PACS")
        self._console, self._is_silent = console, is_silent or not console.is_terminal

    def __enter__(self) -> Progress:
        if not self._is_silent:
            self._status.start()
        return lambda what, at, of: self._status.update(f"{what}: {at} of {of}")

    def __exit__(self, *_: object) -> None:
        self._status.stop()


def _pacs(site: Path) -> Connection:
    from deploy.pacs.connection import Connection
    from deploy.site.settings import SITE_FILE, load_site

    settings = load_site(site).pacs
    if settings is None:
        raise ConfigurationError(
            f"no [pacs] in {site / SITE_FILE}",
            "the address of the site's PACS",
            'add [pacs] with address = "https://…/dicom-web", or name another site with --site',
        )
    return Connection(settings)


def _as_json(pulled: Pulled) -> dict[str, object]:
    from dataclasses import asdict

    return {name.replace("_", "-"): value for name, value in asdict(pulled).items()}


def _show_found(console: Console, series: tuple[Series, ...]) -> None:
    kinds = Counter(each.modality for each in series)
    images = sum(each.images or 0 for each in series)
    told = "" if all(each.images is not None for each in series) else "at least "
    words = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    console.print(f"The query finds {len(series)} series ({words}) with {told}{images} images.")


def _show(console: Console, pulled: Pulled, table: Path) -> None:
    console.print(
        f"{pulled.series} series: {pulled.whole} fetched, {pulled.before} were there already,"
        f" {pulled.not_whole} left out. {pulled.images} images came"
        f" ({pulled.bytes / MEGABYTE:.0f} MB)."
    )
    for reason, count in pulled.others.most_common():
        console.print(f"Does not fit the query: {count} {reason}")
    for reason, count in pulled.reasons.most_common():
        console.print(f"Could not be fetched: {count} images; {reason}")
    console.print(f"{table} says which folder has which series; it is for this site alone.")
