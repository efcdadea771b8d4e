"""Every place in a noun that a server can lie in, found in the noun's own declaration.

A field that is added to a noun, or a message that is added to the protocol, is found as well.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

ENTRY = "*"
"""In a path: any entry of a list or a mapping."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A place in a noun: the names that lead to it, and the declared type of its value."""

    path: Path
    type: Any

    @property
    def name(self) -> str:
        """The path in one word."""
        return ".".join(self.path)


def plain(declared: Any) -> Any:
    """Return a declared type without its bounds, and without ``None``."""
    if get_origin(declared) is Annotated:
        return plain(get_args(declared)[0])
    if get_origin(declared) in (Union, types.UnionType):
        (inner,) = (each for each in get_args(declared) if each is not type(None))
        return plain(inner)
    return declared


def places(noun: type[BaseModel], at: Path = ()) -> Iterator[Place]:
    """Yield all places of a noun, the whole before its parts."""
    for name, field in noun.model_fields.items():
        yield from _within(Place((*at, name), plain(field.annotation)))


def _within(place: Place) -> Iterator[Place]:
    yield place
    if is_noun(place.type):
        yield from places(place.type, place.path)
    elif get_origin(place.type) in (tuple, dict):
        yield from _within(Place((*place.path, ENTRY), entry_of(place.type)))


def is_noun(declared: Any) -> bool:
    """Return whether a type is a noun."""
    return isinstance(declared, type) and issubclass(declared, BaseModel)


def entry_of(declared: Any) -> Any:
    """Return the type of the entries of a list or a mapping."""
    return plain(get_args(declared)[1 if get_origin(declared) is dict else 0])
