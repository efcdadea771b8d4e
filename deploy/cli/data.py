"""``srflm data``: find a site's own images, and draw a picture of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.options import FederationFile, chosen_federation

if TYPE_CHECKING:
    from rich.console import Console

    from clients.data.manifest.indexing import Index

app = typer.Typer(no_args_is_help=True, help="Find the vendors' data, and look at them.")

MOST_NAMED = 5  # files of one reason that are named on the screen


@app.command()
def index(
    folder: Annotated[Path, typer.Argument(help="the folder that holds all images")],
    federation_file: FederationFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of tables")] = False,
) -> None:
    """Find the images in FOLDER for the federation's task, and write manifest.csv into it.

    Shows what was found and what was left out, and why. Patients' names are replaced by keyed
    hashes. A patient who is in an earlier manifest keeps the split. If nothing is found, no file is
    written, and the exit code is 1.
    """
    from rich.console import Console

    from clients.data.manifest.indexing import index_folder
    from clients.data.manifest.keys import manifest_keys, owners_key_file
    from clients.data.manifest.rows import MANIFEST, read_manifest, write_manifest

    federation, path = chosen_federation(federation_file), folder / MANIFEST
    known = read_manifest(path) if path.exists() else ()
    keys = manifest_keys(federation.seed, owners_key_file())
    exact = not federation.privacy.private
    found = index_folder(folder, federation.task, federation.splits, keys, exact, known)
    if found.rows:
        write_manifest(path, found.rows)
    if as_json:
        typer.echo(_as_json(found, path))
    else:
        _show(Console(), found, path)
    if not found.rows:
        raise typer.Exit(1)


@app.command()
def preview(
    federation_file: FederationFile = None,
    out: Annotated[Path, typer.Option(help="the PNG to write")] = Path("preview.png"),
) -> None:
    """Write a picture of the vendors' images side by side."""
    from clients.data.preview import write_data_preview

    write_data_preview(out, chosen_federation(federation_file).data_plan())
    typer.echo(f"Wrote {out.resolve()}")


@app.command("clear-cache")
def clear_cache() -> None:
    """Delete the prepared images that are kept for later starts.

    They lie in $XDG_CACHE_HOME/srflm/cases, or ~/.cache/srflm/cases, for the user alone.
    """
    from clients.data.case_cache import users_cache

    cache = users_cache()
    cache.clear()
    typer.echo(f"Emptied {cache.folder}")


def _as_json(found: Index, path: Path) -> str:
    import json
    from dataclasses import asdict

    content = {
        "manifest": str(path) if found.rows else None,
        "cases": len(found.rows),
        "left-out": [asdict(each) for each in found.left_out],
    }
    return json.dumps(content, indent=2)


def _show(console: Console, found: Index, path: Path) -> None:
    from collections import Counter

    from rich.table import Table

    from clients.data.vendor_data import SPLITS

    if not found.rows:
        console.print(f"Found no case in {path.parent}; nothing was written.", soft_wrap=True)
    table = Table(title="Found")
    for heading in ("maker", "cases", "patients", *SPLITS):
        table.add_column(heading, justify="left" if heading == "maker" else "right")
    for maker in sorted({row.vendor for row in found.rows}):
        rows = [row for row in found.rows if row.vendor == maker]
        splits = Counter(row.split for row in rows)
        patients = len({row.patient for row in rows})
        counts = (len(rows), patients, *(splits[split] for split in SPLITS))
        table.add_row(maker or "–", *map(str, counts))
    if found.rows:
        console.print(table)
    reasons = Counter(each.reason for each in found.left_out)
    if reasons:
        left = Table(title="Left out")
        for heading in ("reason", "files", "for example"):
            left.add_column(heading, justify="right" if heading == "files" else "left")
        for reason, count in reasons.most_common():
            named = [each for each in found.left_out if each.reason == reason][:MOST_NAMED]
            words = "\n".join(each.why or each.path for each in named)
            left.add_row(reason, str(count), words)
        console.print(left)
    if found.rows:
        console.print(f"Wrote {path}: {len(found.rows)} cases.", highlight=False, soft_wrap=True)
