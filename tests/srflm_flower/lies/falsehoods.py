"""The lies that a value of each type can be replaced by, by the name of their family."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from tests.srflm_flower.lies.places import ENTRY, Place, entry_of, is_noun
from tests.srflm_flower.lies.samples import Samples, filled

STRANGER = "mallory"
MISSING = object()
ANOTHER_HASH = "f" * 64


@dataclass(frozen=True)
class Falsehood:
    """A family of lies, and what a value becomes; ``MISSING`` removes it."""

    family: str
    value: Any


def falsehoods(
    place: Place, honest: Any, names: tuple[str, ...], samples: Samples
) -> list[Falsehood]:
    """Return the lies about an ``honest`` value; ``names`` are vendors.

    The first is that it stands there at all, which is none if it does.
    """
    found = [*_by_type(place.type, honest, names, samples)]
    if place.path[-1] != ENTRY:
        found += [Falsehood("missing", MISSING), Falsehood("nothing", None)]
    others = [each for each in found if each.value is MISSING or each.value != honest]
    return [Falsehood("made up", honest), *others]


def _by_type(
    declared: Any, honest: Any, names: tuple[str, ...], samples: Samples
) -> Iterator[Falsehood]:
    if is_noun(declared):
        yield Falsehood("emptied", {})
        yield Falsehood("one field more", {**honest, "patient": "x"})
        yield Falsehood("of another type", "x")
    elif get_origin(declared) is Literal:
        yield from (Falsehood("another choice", each) for each in get_args(declared))
        yield Falsehood("no choice", "x" if isinstance(honest, str) else 7)
    elif get_origin(declared) is dict:
        yield from _of_mapping(honest, names, samples.of(entry_of(declared)))
    elif get_origin(declared) is tuple:
        yield from _of_list(honest, samples.of(entry_of(declared)))
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
    yield Falsehood("last entry dropped", honest[:-1])
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


def told(text: str, declared: Any, place: Place, whose: str, value: Any, samples: Samples) -> str:
    """Return a noun's JSON with a lie in it, about ``whose`` entry if the place is in several."""
    lying = json.loads(text)
    holder, key = filled(lying, declared, place.path, samples, whose)
    if value is MISSING:
        del holder[key]
    else:
        holder[key] = value
    return json.dumps(lying)


def honest_at(text: str, declared: Any, place: Place, whose: str, samples: Samples) -> Any:
    """Return the value that stands at a place, or one of its type where nothing stands."""
    holder, key = filled(json.loads(text), declared, place.path, samples, whose)
    return holder[key]
