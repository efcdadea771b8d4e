"""Values for the places of a noun where nothing stands, and the way to any place in its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from strategies.protocol.evidence_nouns import Evidence, Said
from tests.srflm_flower.lies.places import ENTRY, Path, entry_of, is_noun, plain


class Samples:
    """Samples of any type as JSON, made once each.

    ``known`` has those of nouns, of evidence of one kind, of texts by their pattern, and a name for
    any other ``str``.
    """

    def __init__(self, known: Mapping[Any, Any]) -> None:
        self._texts = {declared: json.dumps(value) for declared, value in known.items()}

    def of(self, declared: Any) -> Any:
        """Return a new sample of a type."""
        if declared not in self._texts:
            self._texts[declared] = json.dumps(self._made(declared))
        return json.loads(self._texts[declared])

    def _made(self, declared: Any) -> Any:
        if is_noun(declared):
            return {name: self._in(field) for name, field in declared.model_fields.items()}
        if get_origin(declared) is dict:
            return {self.of(str): self.of(entry_of(declared))}
        if get_origin(declared) is tuple:
            return [self.of(entry_of(declared))]
        if get_origin(declared) is Literal:
            return get_args(declared)[0]
        return {int: 1, float: 0.5, bool: True}[declared]

    def _in(self, field: FieldInfo) -> Any:
        if field.examples:
            return field.examples[0]
        patterns = [getattr(each, "pattern", None) for each in field.metadata]
        known = next((each for each in patterns if each in self._texts), plain(field.annotation))
        return self.of(known)


def filled(noun: Any, declared: Any, path: Path, samples: Samples, whose: str) -> tuple[Any, Any]:
    """Return (holder, key) of the place at ``path`` in a noun's JSON; fill in what is not there.

    An entry is that of the vendor ``whose``, or else the first one.
    """
    holder, key, at = {"": noun}, "", declared
    for step, kind in zip(path, (*path[1:], ""), strict=True):
        inner = holder[key]
        if not inner:  # not set, or an empty list
            holder[key] = inner = samples.of(at)
        if at is Evidence and kind in Said.model_fields and inner[step][kind] is None:
            inner = holder[key] = samples.of((Evidence, kind))  # of two things of one kind
        key = step if step != ENTRY else _entry_of(inner, whose)
        at = plain(at.model_fields[step].annotation) if step != ENTRY else entry_of(at)
        holder = inner
    if holder[key] is None:
        holder[key] = samples.of(at)
    return holder, key


def _entry_of(holder: Any, whose: str) -> Any:
    if isinstance(holder, dict):
        return whose if whose in holder else next(iter(holder))
    named = (n for n, each in enumerate(holder) if whose in (each, _vendor_of(each)))
    return next(named, 0)


def _vendor_of(entry: Any) -> Any:
    return entry.get("vendor") if isinstance(entry, dict) else None
