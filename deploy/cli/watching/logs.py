"""``srflm logs``: a site's newest log lines, or a scrubbed file of them for support."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.parts.site_options import HERE, SiteFolder
from deploy.processes.private import private_files

if TYPE_CHECKING:
    from deploy.operating.support.log_lines import LogLine

WIDTH = 20
KEPT = "Names, addresses, paths, and texts of errors were taken out of it: see README.txt in it."


@private_files()
def logs(
    folder: SiteFolder = HERE,
    lines: Annotated[int, typer.Option(help="how many of the newest lines", min=1)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(help="a .tar.gz to write for support: scrubbed, and after a question"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="write --bundle without a question")] = False,
) -> None:
    """Show the newest lines of all logs of a site, in order of time; or write them for support.

    A line that has no time of its own stands at that of the line before it. The file of --bundle
    has no name of a host, path, user, vendor, patient, or case, and no text of an error. Exit
    codes: 0 shown or written, 1 not agreed to, or not written, 2 wrong usage. Example: srflm logs
    site --bundle for-support.tar.gz
    """
    if bundle is not None:
        _write(folder.resolve(), bundle, yes)
        return
    from deploy.operating.support.log_lines import newest
    from deploy.site.layout import Layout
    from deploy.site.settings import load_site

    for line in newest(Layout.of(load_site(folder.resolve())), lines):
        typer.echo(_as_json(line) if as_json else _in_words(line))


def _write(folder: Path, bundle: Path, yes: bool) -> None:
    from deploy.operating.support.bundle import contents, write_bundle

    files = contents(folder)
    typer.echo(f"{bundle} will have:")
    for name, data in files.items():
        typer.echo(f"  {name}: {len(data)} bytes")
    typer.echo("Its newest line of each log:")
    for name, data in files.items():
        kept = [line for line in data.decode().splitlines() if '"left_out"' not in line]
        if name.startswith("logs/") and kept:
            typer.echo(f"  {name}: {kept[-1]}")
    typer.echo(KEPT)
    if not yes:
        typer.confirm("Write it?", abort=True)
    write_bundle(bundle, files)
    typer.echo(f"Written: {bundle}. Look at it before you send it: tar -xOzf {bundle} | less")


def _in_words(line: LogLine) -> str:
    when = f"{datetime.fromtimestamp(line.time):%Y-%m-%d %H:%M:%S}"
    return f"{when} {line.source:<{WIDTH}} {line.text}"


def _as_json(line: LogLine) -> str:
    content = {"text": line.text} if line.event is None else {"event": line.event}
    when = {"time": round(line.time, 3), "dated": line.dated}
    return json.dumps({**when, "source": line.source, **content})
