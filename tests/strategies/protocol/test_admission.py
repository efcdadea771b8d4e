"""Rules of obedience: a site follows only messages that fit its own view."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.errors import MessageRefused
from strategies.protocol.admission import View, check_envelope, check_names
from strategies.protocol.messages import Envelope, EvaluateModels

VIEW = View(federation="f", head_term=4, ranking=("b", "c", "a"), attempt=1)


def envelope(**fields: Any) -> Envelope:
    plain = {"federation": "f", "term": 5, "attempt": 1, "server": "c"}
    return Envelope.model_validate(plain | fields)


@pytest.mark.parametrize(
    "fields", [{}, {"attempt": 2, "server": "a"}, {"attempt": 3, "server": "b"}]
)
def test_message_of_the_vendor_whose_turn_it_is_is_obeyed(fields: dict[str, Any]) -> None:
    check_envelope(envelope(**fields), VIEW)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"federation": "e"}, MessageRefused.FEDERATION),
        ({"term": 4}, MessageRefused.TERM),
        ({"term": 1}, MessageRefused.TERM),
        ({"term": 6}, MessageRefused.TERM),
        ({"attempt": 0, "server": "b"}, MessageRefused.ATTEMPT),
        ({"server": "b"}, MessageRefused.SERVER),
        ({"server": "stranger"}, MessageRefused.SERVER),
        ({"attempt": 2, "server": "c"}, MessageRefused.SERVER),
    ],
)
def test_message_that_does_not_fit_is_refused_with_its_own_code(
    fields: dict[str, Any], code: str
) -> None:
    with pytest.raises(MessageRefused) as caught:
        check_envelope(envelope(**fields), VIEW)
    assert caught.value.code == code


def test_site_that_has_missed_terms_can_be_found_but_not_commanded() -> None:
    ahead = envelope(term=9, attempt=0, server="whoever")
    check_envelope(ahead, VIEW, any_term=True)
    with pytest.raises(MessageRefused):
        check_envelope(ahead, VIEW)


def test_stored_record_may_be_acknowledged_again() -> None:
    check_envelope(envelope(term=4), VIEW, any_term=True)


@pytest.mark.parametrize(
    "fields",
    [{"federation": "e", "term": 9}, {"server": "b"}, {"attempt": 0, "server": "b"}],
)
def test_allowing_any_term_excuses_nothing_else(fields: dict[str, Any]) -> None:
    with pytest.raises(MessageRefused):
        check_envelope(envelope(**fields), VIEW, any_term=True)


@given(term=st.integers(0, 9), attempt=st.integers(0, 9), server=st.sampled_from("abcd"))
def test_every_attempt_at_the_next_term_has_exactly_one_owner(
    term: int, attempt: int, server: str
) -> None:
    allowed = term == 5 and attempt >= 1 and server == VIEW.ranking[attempt % 3]
    try:
        check_envelope(envelope(term=term, attempt=attempt, server=server), VIEW)
    except MessageRefused:
        assert not allowed
    else:
        assert allowed


def evaluation(split: str, select: bool, *names: str) -> EvaluateModels:
    return EvaluateModels.model_validate(
        {"envelope": envelope(), "models": dict.fromkeys(names, "m")}
        | {"split": split, "select": select}
    )


@pytest.mark.parametrize(
    "asked",
    [
        ("validation", True, "averaged", "finetuned"),
        ("validation", True, "finetuned"),
        ("validation", False, "a", "c"),
        ("test", False, "global"),
        ("test", False),
    ],
)
def test_names_of_the_protocol_are_evaluated(asked: tuple[Any, ...]) -> None:
    check_names(evaluation(*asked), VIEW.ranking)


@pytest.mark.parametrize(
    "asked",
    [
        ("validation", True, *(f"again-{n}" for n in range(1000))),
        ("validation", True, "finetuned", "global"),
        ("validation", False, "a", "stranger"),
        ("test", False, "averaged"),
    ],
)
def test_other_names_are_refused(asked: tuple[Any, ...]) -> None:
    with pytest.raises(MessageRefused) as caught:
        check_names(evaluation(*asked), VIEW.ranking)
    assert caught.value.code == MessageRefused.NAMES
