"""The lies that a value of each type can be replaced by, by the name of their family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from tests.srflm_flower.lies.places import ENTRY, Place, entry_of, filled, is_noun, sample

STRANGER = "mallory"
MISSING = object()
ANOTHER_HASH = "f" * 64


@dataclass(frozen=True)
class Falsehood:
    """A family of lies, and what a value becomes; ``MISSING`` removes it."""

    family: str
    value: Any


def falsehoods(place: Place, honest: Any, names: tuple[str, ...], known: Any) -> list[Falsehood]:
    """Return the lies about an ``honest`` value; ``names`` are vendors."""
    found = [*_by_type(place.type, honest, names, known)]
    if place.path[-1] != ENTRY:
        found += [Falsehood("missing", MISSING), Falsehood("nothing", None)]
    return [each for each in found if each.value is MISSING or each.value != honest]


def _by_type(
    declared: Any, honest: Any, names: tuple[str, ...], known: Mapping[Any, Any]
) -> Iterator[Falsehood]:
    if is_noun(declared):
        yield Falsehood("emptied", {})
        yield Falsehood("one field more", {**honest, "patient": "x"})
        yield Falsehood("of another type", "x")
    elif get_origin(declared) is Literal:
        yield from (Falsehood("another choice", each) for each in get_args(declared))
        yield Falsehood("no choice", "x" if isinstance(honest, str) else 7)
    elif get_origin(declared) is dict:
        yield from _of_mapping(honest, names, sample(entry_of(declared), known))
    elif get_origin(declared) is tuple:
        yield from _of_list(honest, sample(entry_of(declared), known))
    elif declared is bool:
        yield Falsehood("the opposite", not honest)
        yield Falsehood("of another type", "x")
    elif declared in (int, float):
        yield from _of_number(honest, whole=declared is int)
    else:
        yield from _of_text(honest, names)


def _of_number(honest: float, whole: bool) -> Iterator[Falsehood]:
    yield Falsehood("one more", honest + 1)
    yield Falsehood("one less", honest - 1)
    yield Falsehood("zero", 0)
    yield Falsehood("negative", -7)
    yield Falsehood("huge", 2**53 if whole else 1e300)
    yield Falsehood("of another type", "x")
    if whole:
        yield Falsehood("beyond 64 bits", 2**64)
        yield Falsehood("a fraction", honest + 0.5)
        return
    yield Falsehood("slightly more", honest + 1e-9)
    yield Falsehood("tiny", 1e-300)
    yield from (Falsehood("not finite", float(each)) for each in ("nan", "inf", "-inf"))


def _of_text(honest: str, names: tuple[str, ...]) -> Iterator[Falsehood]:
    yield Falsehood("empty", "")
    yield from (Falsehood("another vendor", name) for name in names)
    yield Falsehood("a stranger", STRANGER)
    yield Falsehood("another hash", ANOTHER_HASH)
    yield Falsehood("a letter changed", f"{honest[:-1]}{'0' if honest[-1:] != '0' else '1'}")
    yield Falsehood("a path", "../../etc/passwd")
    yield Falsehood("very long", "x" * 100_000)
    yield Falsehood("of another type", 5)


def _of_list(honest: list[Any], entry: Any) -> Iterator[Falsehood]:
    yield Falsehood("emptied", [])
    yield Falsehood("first entry dropped", honest[1:])
    yield Falsehood("first entry twice", [*honest[:1], *honest])
    yield Falsehood("reversed", honest[::-1])
    yield Falsehood("an entry more", [*honest, entry])
    yield Falsehood("very many entries", [entry] * 5000)
    yield Falsehood("of another type", 5)


def _of_mapping(honest: dict[str, Any], names: tuple[str, ...], entry: Any) -> Iterator[Falsehood]:
    keys, values = list(honest), list(honest.values())
    yield Falsehood("emptied", {})
    for name in names:  # every vendor's entry, so that the tried site's is among them
        yield Falsehood("a vendor dropped", {k: v for k, v in honest.items() if k != name})
    yield Falsehood("values swapped", dict(zip(keys, values[::-1], strict=True)))
    yield Falsehood("a stranger more", {**honest, STRANGER: values[0] if values else entry})
    yield Falsehood("all to strangers", {f"{STRANGER}-{key}": v for key, v in honest.items()})
    yield Falsehood("very many entries", {f"{n}": entry for n in range(5000)})
    yield Falsehood("of another type", 5)


def told(
    noun: Any, declared: Any, place: Place, falsehood: Falsehood, known: Mapping[Any, Any]
) -> Any:
    """Return a copy of a noun's JSON with a lie in it."""
    lying = deepcopy(noun)
    holder, key = filled(lying, declared, place.path, known)
    if falsehood.value is MISSING:
        del holder[key]
    else:
        holder[key] = falsehood.value
    return lying


def honest_at(noun: Any, declared: Any, place: Place, known: Mapping[Any, Any]) -> Any:
    """Return the value that stands at a place, or one of its type where nothing stands."""
    holder, key = filled(deepcopy(noun), declared, place.path, known)
    return holder[key]
