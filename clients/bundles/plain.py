"""Take a value out of a bundle's configuration: plain values and references to them, nothing else.

https://docs.monai.io/en/stable/config_syntax.html describes the language, of which this is the part
that runs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from strategies.errors import ConfigurationError

_LARGEST = 2**12
"""A network with more layers, channels, or classes would fill the memory before it is refused."""
_DEEPEST = 50
"""Arrays within arrays, and references to references, of one value."""
_MOST_VALUES = 10_000
"""Values of one definition: references to lists of references would multiply without end."""

PARTS = {
    "$": "code ($…), which would be run",
    "%": "a macro (%…), which would read another file",
}


@dataclass
class PlainValues:
    """The entries of a configuration, of which plain values are taken."""

    entries: Mapping[str, Any]
    _taken: int = field(default=0, init=False)

    def take(self, value: Any, where: str) -> Any:
        """Return a value with its references resolved: numbers, texts, booleans, null, arrays.

        ``where`` is its place in the file.  Raises :class:`ConfigurationError` for code, macros,
        components, other tables, and references that lead nowhere or in a circle.
        """
        return self._take(value, where, (), 0)

    def _take(self, value: Any, where: str, through: tuple[str, ...], depth: int) -> Any:
        self._taken += 1
        if self._taken > _MOST_VALUES:
            raise refused(where, f"more than {_MOST_VALUES} values")
        if depth > _DEEPEST:
            raise refused(where, f"more than {_DEEPEST} arrays or references within each other")
        match value:
            case None | bool():
                return value
            case int():
                if abs(value) > _LARGEST:
                    raise refused(where, f"a whole number beyond {_LARGEST}")
                return value
            case float() if math.isfinite(value):
                return value
            case str():
                return self._text(value, where, through, depth)
            case list():
                return [
                    self._item(each, f"{where}::{n}", through, depth + 1)
                    for n, each in enumerate(value)
                ]
            case {"_target_": _}:
                raise refused(f"{where}::_target_", "a component within an argument")
            case dict():
                raise refused(where, "a table")
        raise refused(where, f"a {type(value).__name__} that is no plain value")

    def _item(self, value: Any, where: str, through: tuple[str, ...], depth: int) -> Any:
        found = self._take(value, where, through, depth)
        if found is None:
            # TOML has no null.
            raise refused(where, "null within an array, which a federation file cannot say")
        return found

    def _text(self, text: str, where: str, through: tuple[str, ...], depth: int) -> Any:
        start = text.lstrip()[:1]
        if start in PARTS:
            raise refused(where, PARTS[start])
        if start != "@":
            return text
        if text in through:
            raise refused(where, f"the reference {text[:60]!r}, which leads back to itself")
        return self._take(self._referred(text, where), text[1:], (*through, text), depth + 1)

    def _referred(self, reference: str, where: str) -> Any:
        found: Any = self.entries
        for step in reference.strip()[1:].replace("#", "::").split("::"):
            match found:
                case dict() if step in found:
                    found = found[step]
                case list() if step.isdecimal() and int(step) < len(found):
                    found = found[int(step)]
                case _:
                    raise refused(
                        where,
                        f"the reference {reference[:60]!r}, which leads to no entry of this file",
                    )
        return found


def refused(where: str, what: str) -> ConfigurationError:
    """Return the error for an entry that is not taken over."""
    return ConfigurationError(
        f"{where}: {what}",
        "numbers, texts, true or false, arrays of these, and references (@…) to them",
        "write the value itself there, or name the network in [model] of the federation file",
    )
