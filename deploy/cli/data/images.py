"""Commands of ``srflm data``: find a site's own images, check them, and draw a picture of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.parts.options import FederationFile, chosen_federation
from strategies.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from clients.data.manifest.by_header import Division
    from clients.data.manifest.checking import Checked
    from clients.data.manifest.indexing import Index

app = typer.Typer(
    no_args_is_help=True, help="Find the vendors' data, check them, and look at them."
)

MOST_NAMED = 5  # files of one reason that are named on the screen


@app.command()
def index(
    folder: Annotated[Path, typer.Argument(help="the folder that holds all images")],
    federation_file: FederationFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of tables")] = False,
    description: Annotated[
        list[str] | None,
        typer.Option(help="take series of these descriptions only, with * and ?"),
    ] = None,
) -> None:
    """Find the images in FOLDER for the federation's task, and write manifest.csv into it.

    Shows what was found and what was left out, and why. Patients' names are replaced by keyed
    hashes. A patient who is in an earlier manifest keeps the split. If nothing is found, no file is
    written, and the exit code is 1.

    Example: srflm data index images federation.toml
    """
    from rich.console import Console

    from clients.data.manifest.indexing import index_folder
    from clients.data.manifest.keys import manifest_keys, owners_key_file
    from clients.data.manifest.rows import MANIFEST, read_manifest, write_manifest
    from clients.imaging.select_settings import SelectSettings
    from clients.settings import FileData
    from srflm_flower.federation.left_over import division_of_folder

    federation, path = chosen_federation(federation_file), folder / MANIFEST
    known = read_manifest(path) if path.exists() else ()
    keys = manifest_keys(federation.seed, owners_key_file())
    exact = not federation.privacy.private
    data, division = federation.data, division_of_folder(federation, folder)
    found = index_folder(
        folder,
        federation.task,
        federation.splits,
        keys,
        exact,
        known,
        division=division,
        select=data.select if isinstance(data, FileData) else SelectSettings(),
        descriptions=tuple(description or ()),
    )
    if found.rows:
        write_manifest(path, found.rows)
    if as_json:
        typer.echo(_as_json(found, path, division))
    else:
        _show(Console(), found, path, division)
    if not found.rows:
        raise typer.Exit(1)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="a folder that was indexed")],
    federation_file: FederationFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Prepare every case in FOLDER as training would, and show what is wrong or unusual.

    Errors stop training, and the exit code is then 1; of warnings somebody should know. Cases that
    cannot be used are warnings as long as they are few (data.most-unreadable).

    Example: srflm data check federation.toml --json
    """
    import json
    from dataclasses import asdict

    from rich.console import Console

    from clients.data.manifest.checking import check_manifest
    from clients.data.manifest.rows import MANIFEST
    from clients.data.sources import manifest_source
    from clients.settings import FileData
    from srflm_flower.federation.left_over import division_of_folder

    federation = chosen_federation(federation_file)
    if not isinstance(federation.data, FileData):
        raise ConfigurationError(
            f'data.source = "{federation.data.source}"',
            'data.source = "files"',
            "name the federation file whose vendors have folders of their own",
        )
    source = manifest_source(federation.data, federation.task, federation.seed)
    checked = check_manifest(
        folder / MANIFEST,
        source,
        federation.training.batch_size,
        division_of_folder(federation, folder),
    )
    if as_json:
        typer.echo(json.dumps(asdict(checked), indent=2))
    else:
        _show_findings(Console(), checked)
    if checked.errors:
        raise typer.Exit(1)


@app.command()
def preview(
    federation_file: FederationFile = None,
    out: Annotated[Path, typer.Option(help="the PNG to write")] = Path("preview.png"),
) -> None:
    """Write a picture of the vendors' images side by side.

    Example: srflm data preview federation.toml --out preview.png
    """
    from clients.data.preview import write_data_preview

    write_data_preview(out, chosen_federation(federation_file).data_plan())
    typer.echo(f"Wrote {out.resolve()}")


@app.command("clear-cache")
def clear_cache() -> None:
    """Delete the prepared images that are kept for later starts.

    They lie in $XDG_CACHE_HOME/srflm/cases, or ~/.cache/srflm/cases, for the user alone.

    Example: srflm data clear-cache
    """
    from clients.data.case_cache import users_cache

    cache = users_cache()
    cache.clear()
    typer.echo(f"Emptied {cache.folder}")


def _show_findings(console: Console, checked: Checked) -> None:
    from rich.markup import escape
    from rich.table import Table

    if checked.findings:
        table = Table(title="Findings")
        for heading in ("", "case", "what"):
            table.add_column(heading)
        for each in checked.findings:
            table.add_row(each.severity, each.case or "all", escape(each.text))
        console.print(table)
    counts = ", ".join(f"{count} {split}" for split, count in checked.cases.items())
    console.print(
        f"{counts}; {checked.megabytes:.0f} MB in memory; {checked.errors} errors,"
        f" {len(checked.findings) - checked.errors} warnings.",
        highlight=False,
        soft_wrap=True,
    )


def _as_json(found: Index, path: Path, division: Division | None) -> str:
    import json
    from dataclasses import asdict

    content: dict[str, object] = {
        "manifest": str(path) if found.rows else None,
        "cases": len(found.rows),
        "left-out": [asdict(each) for each in found.left_out],
    }
    if division is not None:
        left_over = division.of_no_vendor(found.rows)
        content["no-vendor"] = {value: len(rows) for value, rows in left_over.items()}
    return json.dumps(content, indent=2)


def _show(console: Console, found: Index, path: Path, division: Division | None) -> None:
    from collections import Counter

    from rich.table import Table

    from clients.data.manifest.by_header import by_value
    from clients.data.vendor_data import SPLITS
    from srflm_flower.federation.left_over import in_words

    header = "manufacturer" if division is None else division.header
    if not found.rows:
        console.print(f"Found no case in {path.parent}; nothing was written.", soft_wrap=True)
    table = Table(title="Found")
    first = "maker" if header == "manufacturer" else header
    for heading in (first, "cases", "patients", *SPLITS):
        table.add_column(heading, justify="left" if heading == first else "right")
    for value, rows in sorted(by_value(found.rows, header).items()):
        splits = Counter(row.split for row in rows)
        patients = len({row.patient for row in rows})
        counts = (len(rows), patients, *(splits[split] for split in SPLITS))
        table.add_row(value, *map(str, counts))
    if found.rows:
        console.print(table)
    if division is not None:
        left_over = in_words(division, found.rows)
        console.print(left_over, end="", markup=False, soft_wrap=True)
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
