"""The text of a new ``site.toml``: what was chosen, and every other setting as a comment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

import tomlkit
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from deploy.site.commented_toml import comment_lines
from deploy.site.settings import SiteSettings

HEADER: Final = """\
# The settings of one site. Only its own team writes this file; no other site reads or overrides it.
# A line that begins with "#" is a comment: the settings there show their defaults. Relative paths
# start at the folder of this file. After a change: `srflm down`, then `srflm up`.
"""
NONE: Final = "(left out)"


def site_toml(given: Mapping[str, Any]) -> str:
    """Return a ``site.toml`` with the ``given`` settings, and all others as comments.

    Loading the text gives the given settings and no other.
    """
    lines = [HEADER, *_table(SiteSettings, given, ())]
    return "\n".join(lines) + "\n"


def _table(
    table: type[BaseModel], given: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[str]:
    """Yield a table's settings, then its sub-tables: TOML counts later lines to those."""
    fields = {field.alias or name: field for name, field in table.model_fields.items()}
    for key, field in fields.items():
        if _model_of(field) is None:
            yield from (*comment_lines(field), _line(key, field, given), "")
    for key, field in fields.items():
        model = _model_of(field)
        if model is not None:
            name, chosen = ".".join((*path, key)), given.get(key)
            # Without a value a table's head is a comment, too: some tables cannot be empty.
            yield from (*comment_lines(field), f"[{name}]" if chosen is not None else f"# [{name}]")
            yield from _table(model, chosen or {}, (*path, key))


def _line(key: str, field: FieldInfo, given: Mapping[str, Any]) -> str:
    if key in given:
        return tomlkit.dumps({key: given[key]}).rstrip("\n")
    if field.is_required():
        return f"# {key} = …"
    default = field.get_default(call_default_factory=True)
    if default is None:
        return f"# {key} = {NONE}"
    plain = default if isinstance(default, bool | int | float | str) else _plain(default)
    return f"# {tomlkit.dumps({key: plain})}".rstrip("\n")


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else str(value)


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a setting that is a table, or may be one."""
    for each in (field.annotation, *get_args(field.annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None
