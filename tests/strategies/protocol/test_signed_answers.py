"""A record quotes vendors in their own signed words: any other figure is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from strategies.errors import NO_REPLY, MessageRefused
from strategies.protocol.messages import Envelope
from strategies.protocol.records import (
    Absence,
    Ballot,
    SignedAnswers,
    SignedEvaluation,
    SignedWork,
    TermRecord,
    VendorMetrics,
    VendorPrivacy,
)
from strategies.protocol.signatures import VendorKeys
from strategies.protocol.signed_answers import (
    check_signed_answers,
    evaluation_statement,
    failure_statement,
    work_statement,
)
from strategies.settings import Role
from tests.support.records import make_record

ROSTER = ("a", "b", "c")
PRIVATE = {vendor: Ed25519PrivateKey.generate() for vendor in ROSTER}
PUBLIC = {vendor: key.public_key().public_bytes_raw().hex() for vendor, key in PRIVATE.items()}
KEYS = {vendor: VendorKeys(key, PUBLIC) for vendor, key in PRIVATE.items()}
PRIVACY = {
    v: VendorPrivacy(epsilon=1.5, delta=1e-5, can_serve=True, can_train=True) for v in ROSTER
}
HEAD = make_record(1, privacy={"c": PRIVACY["c"]}, ranking=ROSTER)
ENVELOPE = Envelope(federation=HEAD.federation, term=2, attempt=1, server="b")


def work(
    vendor: str,
    loss: float,
    steps: int,
    role: Role = "client",
    round_number: int = 3,
    envelope: Envelope = ENVELOPE,
) -> SignedWork:
    ballot = Ballot(examples=10, loss=loss)
    statement = work_statement(envelope, vendor, round_number, role, ballot, steps)
    return SignedWork(
        round=round_number,
        role=role,
        ballot=ballot,
        steps=steps,
        signature=KEYS[vendor].sign(statement),
    )


def evaluation(vendor: str, metrics: VendorMetrics, privacy: VendorPrivacy) -> SignedEvaluation:
    models = {"averaged": "averaged-2", "finetuned": "model-2"}
    told = ENVELOPE, vendor, models, metrics.model_dump(), privacy
    signature = KEYS[vendor].sign(evaluation_statement(*told))
    return SignedEvaluation(averaged=True, privacy=True, signature=signature)


def failure(vendor: str, phase: str, code: str, /, **changes: Any) -> Absence:
    statement = failure_statement(ENVELOPE, vendor, phase, code)
    plain = {"vendor": vendor, "phase": phase, "code": code, "attempt": 1}
    return Absence.model_validate(plain | {"signature": KEYS[vendor].sign(statement)} | changes)


def honest() -> TermRecord:
    """Return the record of rounds 2 and 3: ``a`` failed as server, and ``c`` in round 3."""
    metrics = {v: VendorMetrics(finetuned={"accuracy": 0.5}) for v in ("a", "b")}
    works = {
        "a": (work("a", 0.9, 4, round_number=2), work("a", 0.8, 5)),
        "b": (work("b", 0.7, 3, "server", 2), work("b", 0.6, 3, "server")),
        "c": (work("c", 0.5, 6, round_number=2),),
    }
    return make_record(
        2,
        HEAD.hash,
        attempt=1,
        server="b",
        round=3,
        clients=("a",),
        ballots={v: each[-1].ballot for v, each in works.items()},
        steps={v: sum(w.steps for w in each) for v, each in works.items()},
        metrics=metrics,
        privacy=PRIVACY,
        absences=(
            Absence(vendor="a", phase="finetune", code=NO_REPLY, attempt=0),
            failure("c", "train", "SRFLM-T1"),
            Absence(vendor="c", phase="evaluate", code=NO_REPLY, attempt=1),
        ),
        signed={
            v: SignedAnswers(
                work=works[v],
                evaluation=evaluation(v, metrics[v], PRIVACY[v]) if v in metrics else None,
            )
            for v in ROSTER
        },
    )


HONEST = honest()


def check(record: TermRecord, head: TermRecord | None = HEAD) -> None:
    check_signed_answers(record, head, ROSTER, VendorKeys(None, PUBLIC))


def test_honest_record_is_taken() -> None:
    check(HONEST)
    check(TermRecord.model_validate_json(HONEST.model_dump_json()))


def signed(vendor: str, **changes: object) -> dict[str, object]:
    told = HONEST.signed or {}
    return {"signed": {**told, vendor: told[vendor].model_copy(update=changes)}}


def works(vendor: str) -> tuple[SignedWork, ...]:
    return (HONEST.signed or {})[vendor].work


LIES: dict[str, Callable[[], dict[str, object]]] = {
    "another loss": lambda: {"ballots": {**HONEST.ballots, "a": Ballot(examples=10, loss=9.0)}},
    "an earlier ballot": lambda: {"ballots": {**HONEST.ballots, "a": works("a")[0].ballot}},
    "a ballot left out, but not its signature": lambda: {
        "ballots": {v: b for v, b in HONEST.ballots.items() if v != "c"}
    },
    "a ballot without a signature": lambda: signed("c", work=()),
    "more steps": lambda: {"steps": {**HONEST.steps, "a": 10}},
    "a round left out": lambda: signed("a", work=works("a")[1:]),
    "a round twice": lambda: signed("a", work=(*works("a"), works("a")[1])),
    "rounds out of order": lambda: signed("a", work=works("a")[::-1]),
    "work of a round before": lambda: signed(
        "a", work=(work("a", 0.9, 4, round_number=1), works("a")[1])
    ),
    "work of another attempt": lambda: signed(
        "a",
        work=(
            works("a")[0],
            work("a", 0.8, 5, envelope=ENVELOPE.model_copy(update={"attempt": 4})),
        ),
    ),
    "work of another vendor": lambda: signed("a", work=works("b")),
    "a client that serves": lambda: signed("a", work=(works("a")[0], work("a", 0.8, 5, "server"))),
    "a client that failed in the last round": lambda: {"clients": ("a", "c")},
    "other metrics": lambda: {
        "metrics": {**HONEST.metrics, "a": VendorMetrics(finetuned={"accuracy": 0.6})}
    },
    "metrics of another model": lambda: {"model": "other"},
    "metrics of another averaged model": lambda: {"averaged_model": "other"},
    "metrics of one that gave none": lambda: {
        "metrics": {**HONEST.metrics, "c": VendorMetrics(finetuned={"accuracy": 0.6})}
    },
    "metrics left out, but not their signature": lambda: {"metrics": {"b": HONEST.metrics["b"]}},
    "another ε": lambda: {
        "privacy": {**PRIVACY, "a": PRIVACY["a"].model_copy(update={"can_serve": False})}
    },
    "another ε of one that did not report": lambda: {
        "privacy": {**PRIVACY, "c": PRIVACY["c"].model_copy(update={"epsilon": 9.0})}
    },
    "no ε of one that had reported": lambda: {
        "privacy": {v: each for v, each in PRIVACY.items() if v != "c"}
    },
    "a failure without a signature": lambda: {
        "absences": (failure("a", "train", "SRFLM-T1", signature=None),)
    },
    "a failure of another kind": lambda: {
        "absences": (failure("a", "train", "SRFLM-T1", code="SRFLM-D1"),)
    },
    "a failure in another phase": lambda: {
        "absences": (failure("a", "train", "SRFLM-T1", phase="evaluate"),)
    },
    "a failure of another vendor": lambda: {
        "absences": (failure("a", "train", "SRFLM-T1", vendor="c"),)
    },
    "a server lost that was none": lambda: {
        "absences": (Absence(vendor="c", phase="finetune", code=NO_REPLY, attempt=0),)
    },
    "a server lost later": lambda: {
        "absences": (Absence(vendor="c", phase="finetune", code=NO_REPLY, attempt=2),)
    },
}


@pytest.mark.parametrize("lie", LIES)
def test_record_with(lie: str) -> None:
    false = HONEST.model_copy(update=LIES[lie]())
    with pytest.raises(MessageRefused) as caught:
        check(false)
    assert caught.value.code == MessageRefused.SIGNATURE


@given(
    field=st.sampled_from(["federation", "term", "attempt", "server"]),
    number=st.integers(0, 5),
    name=st.sampled_from(["a", "c", "f" * 63]),
)
def test_words_hold_for_one_server_attempt_term_and_federation(
    field: str, number: int, name: str
) -> None:
    value = number if field in ("term", "attempt") else name
    if value == getattr(HONEST, field):
        return
    with pytest.raises(MessageRefused):
        check(HONEST.model_copy(update={field: value, "absences": ()}))


def test_first_term_has_no_report_to_carry_on() -> None:
    with pytest.raises(MessageRefused, match="ε of 'c'"):
        check(HONEST, head=None)
