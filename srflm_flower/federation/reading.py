"""Read a federation file as a tree of tables, with its keys in one spelling.

What the tree means is checked by :mod:`srflm_flower.federation.federation`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_core import ErrorDetails

from srflm_flower.federation.places import Location, place
from strategies.errors import ConfigurationError
from strategies.settings import kebab


def read(path: Path) -> dict[str, Any]:
    """Return the file's tables; a byte order mark, as Windows editors write it, is no error."""
    example = "`srflm config show` prints a complete example"
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except IsADirectoryError as error:
        raise ConfigurationError(
            f"{path} is a folder",
            "a federation file",
            f"name the file in it, as {path / 'federation.toml'}; {example}",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror})",
            "a federation file",
            f"correct the path; {example}",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} is not TOML: byte {error.start + 1} is not UTF-8 text",
            "a TOML file",
            "save it as UTF-8 text",
        ) from error
    except ValueError as error:  # of TOML, of a number too long, of NUL in the path
        raise ConfigurationError(
            f"{str(path)!r} is not TOML: {error}",
            "a TOML file",
            f"correct the line, or the path; {example}",
        ) from error


def from_folder(folder: Path, path: str) -> str:
    """Return the path from this folder; one that the check will refuse or expand as it is."""
    if not path.strip() or path.startswith("~") or "\0" in path:
        return path
    return str((folder / path).resolve())


def array(value: object) -> list[Any]:
    """Return an array's values; nothing for what is none."""
    return list(value) if isinstance(value, list | tuple) else []


def in_kebab_case(value: Any, respelled: dict[Location, str], at: Location = ()) -> Any:
    """Return the tree with ``-`` for ``_`` in keys; ``respelled`` gets place → key as found."""
    if isinstance(value, list):
        return [in_kebab_case(each, respelled, (*at, n)) for n, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    tree = {}
    for key, each in value.items():
        here = (*at, kebab(key))
        if here[-1] != key:
            respelled[here] = key
        if key == "node-keys":  # its keys are vendors' names
            tree[key] = each
        elif here[-1] == key or here[-1] not in value:
            tree[here[-1]] = in_kebab_case(each, respelled, here)
    return tree


def misspelled(errors: list[ErrorDetails], respelled: Mapping[Location, str]) -> list[str]:
    """Return the keys that are right but for ``_``; unknown ones get their spelling back."""
    problems, unknown = [], set()
    for error in errors:
        location = place(error["loc"])
        if error["type"] == "extra_forbidden" and location in respelled:
            unknown.add(location)
            error["loc"] = (*error["loc"][:-1], respelled[location])
    for location, key in respelled.items():
        if location not in unknown:
            where = ".".join(map(str, (*location[:-1], key)))
            problems.append(f"{where}: found {key}; expected {location[-1]}; rename it")
    return problems
