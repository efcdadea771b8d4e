"""Print settings as TOML, each setting with its description as a comment above it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import tomlkit
from pydantic import BaseModel
from pydantic.fields import FieldInfo

COMMENT_COLUMNS = 96


def commented_toml(settings: BaseModel) -> str:
    """Return settings as TOML, with each setting's description as a comment above it.

    A setting without a value becomes a comment. Loading the text gives equal settings.
    """
    return "\n".join(_lines(settings, (), set())) + "\n"


def _lines(table: BaseModel, path: tuple[str, ...], explained: set[type]) -> Iterator[str]:
    """Yield a table's lines: its values, then its sub-tables."""
    # Fifty vendors have fifty equal tables; only the first is explained.
    explain = type(table) not in explained
    explained.add(type(table))
    named = {field.alias or name: name for name, field in type(table).model_fields.items()}
    values = table.model_dump(mode="json", by_alias=True)
    tables = [key for key, name in named.items() if _is_table(getattr(table, name))]
    for key, name in named.items():
        if key not in tables:
            field = type(table).model_fields[name]
            yield from _setting(key, values[key], field if explain else None)
    # Values come before tables, as TOML counts every line after a header to that table. The roster
    # is last, because it is long.
    for key in sorted(tables, key=lambda key: isinstance(values[key], list)):
        if explain:
            yield from ("", *comment_lines(type(table).model_fields[named[key]]))
        yield from _tables(getattr(table, named[key]), (*path, key), explained)


def _is_table(value: object) -> bool:
    first = value[0] if isinstance(value, tuple) and value else value
    return isinstance(first, BaseModel | dict)


def _setting(key: str, value: Any, field: FieldInfo | None) -> Iterator[str]:
    """Yield the lines of one setting, with a comment if ``field`` describes it."""
    if field is not None:
        yield from comment_lines(field)
    if value is not None:  # TOML has no null
        yield tomlkit.dumps({key: value}).rstrip("\n")
    elif field is not None:
        yield f"# {key} = (left out)"


def _tables(value: Any, path: tuple[str, ...], explained: set[type]) -> Iterator[str]:
    """Yield one table of settings, several tables of one kind, or a table with names as keys."""
    name = ".".join(path)
    if isinstance(value, dict):
        yield from (f"[{name}]", tomlkit.dumps(value).rstrip("\n"))
        return
    several = isinstance(value, tuple)
    for number, each in enumerate(value if several else (value,)):
        yield from ("",) * (number > 0)
        yield f"[[{name}]]" if several else f"[{name}]"
        yield from _lines(each, path, explained)


def comment_lines(field: FieldInfo) -> list[str]:
    """Return a setting's description as comment lines, with its possible values if it has few."""
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    allowed = ", ".join(json.dumps(choice) for choice in choices)
    texts = [field.description or ""] + ([f"One of {allowed}."] if len(choices) > 1 else [])
    return [
        f"# {line}"
        for text in texts
        # Names of settings have hyphens, and must stay whole for a search.
        for line in textwrap.wrap(text, COMMENT_COLUMNS - 2, break_on_hyphens=False)
    ]
