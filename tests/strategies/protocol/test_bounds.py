"""Nothing that another vendor sends has an unbounded number of entries, or an unbounded number."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from strategies.protocol import messages as wire
from strategies.protocol.bounds import MAX_ENTRIES
from strategies.protocol.records import Certificate, Noun
from strategies.protocol.yielding import YieldAttempt
from strategies.secure_aggregation.messages import ShareSecrets

PREFIXES = ("strategies.protocol.", "strategies.secure_aggregation.messages")


def nouns(of: type[Noun] = Noun) -> Iterator[type[Noun]]:
    """Yield all kinds of nouns that travel."""
    for kind in of.__subclasses__():
        if kind.__module__.startswith(PREFIXES):
            yield kind
        yield from nouns(kind)


def unbounded(schema: object, where: str = "") -> Iterator[str]:
    """Yield the places of a JSON schema that has no upper bound there, or no bound of a number."""
    if isinstance(schema, list):
        for each in schema:
            yield from unbounded(each, where)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "array" and "maxItems" not in schema:
        yield where
    ends = ({"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"})
    if (
        schema.get("type") == "integer"
        and "const" not in schema
        and not all(schema.keys() & end for end in ends)
    ):
        yield where
    if schema.get("additionalProperties", False) is not False and "maxProperties" not in schema:
        yield where
    for key, value in schema.items():
        yield from unbounded(value, f"{where}/{key}")


@pytest.mark.parametrize("kind", sorted({*nouns()}, key=lambda kind: kind.__name__))
def test_every_tuple_mapping_and_whole_number_of_a_noun_is_bounded(kind: type[Noun]) -> None:
    assert list(unbounded(kind.model_json_schema())) == []


def test_all_kinds_of_nouns_are_looked_at() -> None:
    assert {wire.Reply, wire.Commit, Certificate, ShareSecrets, YieldAttempt} < {*nouns()}


def test_one_entry_too_many_is_refused() -> None:
    signatures = {f"v{n}": "" for n in range(MAX_ENTRIES)}
    assert len(Certificate(attempt=0, acceptances=signatures).acceptances) == MAX_ENTRIES
    with pytest.raises(ValidationError, match="at most 4096"):
        Certificate(attempt=0, acceptances={**signatures, "one": ""})
    with pytest.raises(ValidationError, match="at most 4096"):
        wire.Reply(
            vendor="a",
            status="done",
            metrics={"averaged": dict.fromkeys([f"m{n}" for n in range(MAX_ENTRIES + 1)], 0.0)},
        )
