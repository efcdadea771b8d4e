"""Read a federation file, or make the built-in one, and report its problems together.

Checks come in two passes: first every field by itself, then, once all fields are right, the tables
against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from srflm_flower.federation.checks import problems_between_tables
from srflm_flower.federation.federation import BUILT_IN_VENDORS, Federation
from srflm_flower.federation.field_checks import problems_within
from srflm_flower.federation.places import Location
from srflm_flower.federation.reading import array, from_folder, in_kebab_case, misspelled, read
from strategies.errors import ConfigurationError


def load_federation(path: Path, members: Sequence[str] = ()) -> Federation:
    """Read a federation file; relative paths in it are resolved against its folder.

    ``members`` are further vendors, which need no ``[[vendors]]`` table in the file.

    Raises :class:`ConfigurationError` with all problems of the first pass that finds one.
    """
    tree = read(path)
    if members:
        tables = array(tree.get("vendors"))
        named = [table.get("name") for table in tables if isinstance(table, dict)]
        tree["vendors"] = [*tables, *({"name": name} for name in members if name not in named)]
    for table in [tree.get("data"), *array(tree.get("vendors"))]:
        if isinstance(table, dict) and isinstance(table.get("path"), str):
            table["path"] = from_folder(path.parent, table["path"])
    model = tree.get("model")
    for name, table in model.items() if isinstance(model, dict) else ():
        match name, table:
            case "initial-weights" | "features", {"file": str(file)}:
                table["file"] = from_folder(path.parent, file)
    respelled: dict[Location, str] = {}
    return _validated(in_kebab_case(tree, respelled), str(path), respelled)


def built_in_federation(vendors: int = len(BUILT_IN_VENDORS)) -> Federation:
    """Return the demonstration federation with this many vendors."""
    names = [*BUILT_IN_VENDORS, *(f"vendor-{n}" for n in range(len(BUILT_IN_VENDORS), vendors))]
    return _validated({"vendors": [{"name": name} for name in names[:vendors]]}, "the roster")


def with_changes(federation: Federation, **changes: Any) -> Federation:
    """Return a checked copy with fields replaced; ``table__field=1`` reaches into a table.

    Raises :class:`ConfigurationError` when the copy is not a valid federation.
    """
    # Validated from the start: pydantic's model_copy(update=…) would check nothing.
    tree = federation.model_dump(mode="python")
    for path, value in changes.items():
        *tables, field = path.split("__")
        table = tree
        for name in tables:
            table = table[name]
        table[field] = value
    return _validated(tree, "the changed federation")


def _validated(
    tree: dict[str, Any], where: str, respelled: Mapping[Location, str] = MappingProxyType({})
) -> Federation:
    try:
        federation = Federation.model_validate(tree)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        problems = misspelled(errors, respelled)
        raise _invalid(
            where, [*problems, *(p for e in errors for p in problems_within(e))]
        ) from None
    # Keys spelt with "_" are errors too, although their values are valid.
    problems = misspelled([], respelled) or problems_between_tables(federation)
    if problems:
        raise _invalid(where, problems)
    return federation


def _invalid(where: str, problems: Sequence[str]) -> ConfigurationError:
    return ConfigurationError(
        f"{len(problems)} problem(s) in {where}:\n" + "\n".join(f"  - {p}" for p in problems),
        "a valid federation file",
        "change the lines named above; `srflm config show` prints a complete example",
    )
