"""``srflm config``: check a federation file and its data, or show it with every default."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import tomlkit
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table

from deploy.cli.options import FederationFile, chosen_federation

COMMENT_COLUMNS = 96

app = typer.Typer(no_args_is_help=True, help="Check and show federation files.")


@app.command()
def check(federation_file: FederationFile = None) -> None:
    """Check the file and every vendor's data; show who has how much of what."""
    from srflm_flower.federation.preflight import count_examples

    federation = chosen_federation(federation_file)
    counts = count_examples(federation)
    table = Table(title=f"{federation.name}: {len(federation.roster)} vendors")
    for heading in ("vendor", "training", "validation", "test", "training examples by class"):
        table.add_column(heading, justify="left" if heading.startswith("vendor") else "right")
    for vendor, count in counts.items():
        by_class = " ".join(str(number) for number in count.by_class)
        table.add_row(vendor, str(count.train), str(count.validation), str(count.test), by_class)
    console = Console()
    console.print(table)
    console.print(f"The federation file is valid; its identity is {federation.hash[:12]}.")


@app.command()
def show(federation_file: FederationFile = None) -> None:
    """Print the federation with every setting and what it means, as TOML."""
    typer.echo(commented_toml(chosen_federation(federation_file)), nl=False)


def commented_toml(settings: BaseModel) -> str:
    """Return settings as TOML, with each setting's description as a comment above it.

    A setting without a value is a comment too.  The text loads as equal settings.
    """
    return "\n".join(_lines(settings, (), set())) + "\n"


def _lines(table: BaseModel, path: tuple[str, ...], explained: set[type]) -> Iterator[str]:
    """Yield a table's lines: its values, then its sub-tables; a kind of table is explained once."""
    explain = type(table) not in explained
    explained.add(type(table))
    named = {field.alias or name: name for name, field in type(table).model_fields.items()}
    values = table.model_dump(mode="json", by_alias=True)
    tables = [key for key, name in named.items() if _is_table(getattr(table, name))]
    for key, name in named.items():
        if key not in tables:
            field = type(table).model_fields[name]
            yield from _setting(key, values[key], field if explain else None)
    for key in sorted(tables, key=lambda key: isinstance(values[key], list)):  # roster last
        if explain:
            yield from ("", *_comment(type(table).model_fields[named[key]]))
        yield from _tables(getattr(table, named[key]), (*path, key), explained)


def _is_table(value: object) -> bool:
    first = value[0] if isinstance(value, tuple) and value else value
    return isinstance(first, BaseModel | dict)


def _setting(key: str, value: Any, field: FieldInfo | None) -> Iterator[str]:
    """Yield the lines of one setting, with a comment where ``field`` describes it."""
    if field is not None:
        yield from _comment(field)
    if value is not None:
        yield tomlkit.dumps({key: value}).rstrip("\n")
    elif field is not None:
        yield f"# {key} = (left out)"


def _tables(value: Any, path: tuple[str, ...], explained: set[type]) -> Iterator[str]:
    """Yield a table of settings, each of several, or a table whose keys are names."""
    name = ".".join(path)
    if isinstance(value, dict):
        yield from (f"[{name}]", tomlkit.dumps(value).rstrip("\n"))
        return
    several = isinstance(value, tuple)
    for number, each in enumerate(value if several else (value,)):
        yield from ("",) * (number > 0)
        yield f"[[{name}]]" if several else f"[{name}]"
        yield from _lines(each, path, explained)


def _comment(field: FieldInfo) -> list[str]:
    """Return what a setting means, and the values that it may have where they are few."""
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    allowed = ", ".join(json.dumps(choice) for choice in choices)
    texts = [field.description or ""] + ([f"One of {allowed}."] if len(choices) > 1 else [])
    return [
        f"# {line}"
        for text in texts
        for line in textwrap.wrap(text, COMMENT_COLUMNS - 2, break_on_hyphens=False)
    ]
