"""Change values in a TOML file and keep all the rest of it: comments, order, and spaces.

Only what the file's own tables have as plain ``key = value`` lines is changed; the result is
parsed again and compared with what was meant, so that it is right or not given at all.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

Value = str | int | float
_HEADER = re.compile(r"^\s*\[(\[)?\s*([^\]]+?)\s*\]")


def edited(
    text: str, table: str, values: Mapping[str, Value], rows: Mapping[str, Mapping[str, Value]]
) -> str | None:
    """Return ``text`` with ``values`` set in ``[table]``, and each of ``rows`` in ``[[vendors]]``.

    ``rows`` is by the vendor's name.  None when the file is written in another way.
    """
    meant = _meant(tomllib.loads(text), table, values, rows)
    lines = text.splitlines()
    if meant is None or not _set_in_table(lines, table, values):
        return None
    for name, row in rows.items():
        if not _set_in_row(lines, name, row):
            return None
    result = "\n".join(lines) + "\n"
    try:
        return result if tomllib.loads(result) == meant else None
    except tomllib.TOMLDecodeError:
        return None


def _meant(
    tree: dict[str, Any],
    table: str,
    values: Mapping[str, Value],
    rows: Mapping[str, Mapping[str, Value]],
) -> dict[str, Any] | None:
    meant = deepcopy(tree)
    meant[table] = meant.get(table, {}) | values
    vendors = {each.get("name"): each for each in meant.get("vendors", [])}
    if not rows.keys() <= vendors.keys():
        return None
    for name, row in rows.items():
        vendors[name].update(row)
    return meant


def _set_in_table(lines: list[str], table: str, values: Mapping[str, Value]) -> bool:
    for start, array, name in _headers(lines):
        if name == table and not array:
            _set(lines, start, values)
            return True
    if any(re.match(rf"\s*{re.escape(table)}\s*[.=]", line) for line in lines):
        return False  # an inline table, or dotted keys
    first = next((at for at, array, name in _headers(lines) if array), len(lines))
    new = [f"[{table}]", *(_line(key, value) for key, value in values.items()), ""]
    if first == len(lines) and lines and lines[-1].strip():
        new.insert(0, "")
    lines[first:first] = new
    return True


def _set_in_row(lines: list[str], vendor: str, values: Mapping[str, Value]) -> bool:
    for start, array, name in _headers(lines):
        if array and name == "vendors":
            own = lines[start + 1 : _end(lines, start)]
            if any(re.match(rf"\s*name\s*=\s*[\"']{re.escape(vendor)}[\"']", e) for e in own):
                _set(lines, start, values)
                return True
    return False


def _headers(lines: list[str]) -> list[tuple[int, bool, str]]:
    found = ((at, _HEADER.match(line)) for at, line in enumerate(lines))
    return [(at, bool(match[1]), match[2]) for at, match in found if match]


def _end(lines: list[str], start: int) -> int:
    """Return where the lines of the table end whose header is at ``start``."""
    following = (at for at, *_ in _headers(lines) if at > start)
    end = next(following, len(lines))
    while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1
    return end


def _set(lines: list[str], start: int, values: Mapping[str, Value]) -> None:
    for key, value in values.items():
        end = _end(lines, start)
        for at in range(start + 1, end):
            match = re.match(rf"(\s*{re.escape(key)}\s*=\s*)[^#]*?(\s*#.*)?$", lines[at])
            if match:
                lines[at] = f"{match[1]}{_toml(value)}{match[2] or ''}"
                break
        else:
            lines.insert(end, _line(key, value))


def _line(key: str, value: Value) -> str:
    return f"{key} = {_toml(value)}"


def _toml(value: Value) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
