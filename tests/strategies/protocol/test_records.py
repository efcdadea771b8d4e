"""Rules of the federation's nouns."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from strategies.protocol.records import (
    Ballot,
    TermRecord,
    VendorMetrics,
    canonical_json,
    liars_withstood,
    majority,
    quorum_size,
)
from tests.support.records import make_record

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(value=plain)
def test_canonical_json_keeps_the_value(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(value=st.dictionaries(st.text(), st.integers()))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_has_no_place_in_a_record(value: float) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"x": value})
    with pytest.raises(ValidationError):
        Ballot(examples=1, loss=value)
    with pytest.raises(ValidationError):
        VendorMetrics(averaged={"accuracy": value})


def test_ballot_needs_at_least_one_example() -> None:
    with pytest.raises(ValidationError):
        Ballot(examples=0, loss=1.0)


def test_nouns_are_frozen_and_know_all_their_fields() -> None:
    with pytest.raises(ValidationError):
        make_record(extra=1)
    with pytest.raises(ValidationError, match="frozen"):
        make_record().server = "b"  # type: ignore[misc]


@pytest.mark.parametrize("field", [f for f in TermRecord.model_fields if f != "schema_version"])
def test_hash_covers_every_field(field: str) -> None:
    other = {
        "term": 2,
        "attempt": 1,
        "round": 2,
        "clients": ("b", "c"),
        "stale_server": True,
        "ballots": {},
        "ranking": ("a", "b"),
        "absences": ({"vendor": "a", "phase": "train", "code": "SRFLM-X2"},),
        "learning_rate": 0.5,
        "steps": {},
        "metrics": {},
        "privacy": {
            "a": {"epsilon": 1.0, "delta": 1e-5, "can_serve": True, "can_train": False},
        },
        "ended": "no budget",
        "cost": {"train": {"seconds": 1}},
        "roster_change": {
            "edition": {"federation": "0" * 64, "roster": ("a", "b")},
            "approvals": {},
        },
        "signed": {"a": {}},
        "recovery": {
            "previous": "0" * 64,
            "term": 1,
            "head": "0" * 64,
            "edition": {"federation": "0" * 64, "roster": ("a", "b")},
        },
    }
    changed = make_record(**{field: other.get(field, "0" * 64)})
    assert changed.hash != make_record().hash


def test_hash_survives_json() -> None:
    record = make_record(learning_rate=0.1 + 0.2)
    assert TermRecord.model_validate_json(record.model_dump_json()).hash == record.hash
    assert len(record.hash) == 64


@given(vendors=st.integers(1, 100))
def test_any_two_majorities_share_a_vendor(vendors: int) -> None:
    assert 2 * majority(vendors) > vendors
    assert 2 * (majority(vendors) - 1) <= vendors
    assert quorum_size(vendors, "majority") == majority(vendors)


@given(st.integers(4, 60))
def test_two_byzantine_quorums_share_an_honest_vendor_and_the_honest_ones_are_enough(
    vendors: int,
) -> None:
    liars, needed = liars_withstood(vendors, "byzantine"), quorum_size(vendors, "byzantine")
    assert vendors >= 3 * liars + 1
    assert 2 * needed - vendors > liars >= 2 * (needed - 1) - vendors
    assert vendors - liars >= needed


@pytest.mark.parametrize(
    ("vendors", "majority_of", "byzantine", "liars"), [(4, 3, 3, 1), (5, 3, 4, 1), (7, 4, 5, 2)]
)
def test_quorums_that_the_documentation_names(
    vendors: int, majority_of: int, byzantine: int, liars: int
) -> None:
    assert quorum_size(vendors, "majority") == majority_of
    assert quorum_size(vendors, "byzantine") == byzantine
    assert liars_withstood(vendors, "byzantine") == liars
