"""Read a federation file as a tree of tables, with its keys in one spelling.

The tree's values are checked by :mod:`srflm_flower.federation.federation`.
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
    """Return the file's tables; raises :class:`ConfigurationError` if it is no readable TOML."""
    example = "`srflm config show` prints a complete example"
    try:
        # utf-8-sig: editors on Windows write a byte order mark.
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
    except ValueError as error:  # invalid TOML, an overlong number, or NUL in the path
        raise ConfigurationError(
            f"{str(path)!r} is not TOML: {error}",
            "a TOML file",
            f"correct the line, or the path; {example}",
        ) from error


def from_folder(folder: Path, path: str) -> str:
    """Resolve ``path`` against ``folder``; leave ``~…`` and invalid paths alone."""
    # Validation expands the former and refuses the latter.
    if not path.strip() or path.startswith("~") or "\0" in path:
        return path
    return str((folder / path).resolve())


def array(value: object) -> list[Any]:
    """Return the items of a list or tuple, or an empty list for any other value."""
    return list(value) if isinstance(value, list | tuple) else []


def in_kebab_case(value: Any, respelled: dict[Location, str], at: Location = ()) -> Any:
    """Return the tree with ``-`` for ``_`` in its keys.

    ``respelled`` gets an entry for each changed key: its place → its spelling in the file.
    """
    if isinstance(value, list):
        return [in_kebab_case(each, respelled, (*at, n)) for n, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    tree = {}
    for key, each in value.items():
        here = (*at, kebab(key))
        if here[-1] != key:
            respelled[here] = key
        # The keys of these tables are names of vendors and of arguments: keep their spelling.
        if key in ("node-keys", "arguments", "options"):
            tree[key] = each
        # If both spellings are there, the one with "-" counts; the other is reported.
        elif here[-1] == key or here[-1] not in value:
            tree[here[-1]] = in_kebab_case(each, respelled, here)
    return tree


def misspelled(errors: list[ErrorDetails], respelled: Mapping[Location, str]) -> list[str]:
    """Return a problem for each known key that is spelt with ``_``.

    In ``errors``, unknown keys get back their spelling in the file.
    """
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
