"""Which lost servers yield their attempts, and whom a site believes that it yields."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from strategies.errors import (
    INTERNAL_ERROR,
    NO_REPLY,
    DataError,
    MessageRefused,
    UpdateRejected,
)
from strategies.protocol.admission import View
from strategies.protocol.messages import Envelope
from strategies.protocol.quorum import NONE_SEEN
from strategies.protocol.records import Absence
from strategies.protocol.signatures import VendorKeys
from strategies.protocol.signed_answers import is_possible
from strategies.protocol.yielding import (
    MENDED_BY_OPENING,
    YieldAttempt,
    check_yield,
    must_yield,
    signed_yield,
)

ROSTER = ("a", "b", "c")
PRIVATE = {vendor: Ed25519PrivateKey.generate() for vendor in ROSTER}
PUBLIC = {v: key.public_key().public_bytes_raw().hex() for v, key in PRIVATE.items()}
KEYS = {vendor: VendorKeys(key, PUBLIC) for vendor, key in PRIVATE.items()}
ENVELOPE = Envelope(federation="f", term=3, attempt=1, server="b")
LOST = Absence(vendor="b", phase="finetune", code=DataError.MISSING, attempt=1)
TOLD = signed_yield(ENVELOPE, LOST, KEYS["b"])


def view(attempt: int = NONE_SEEN, **changes: object) -> View:
    plain = {"federation": "f", "head_term": 2, "ranking": ROSTER, "attempt": attempt}
    return View(**plain | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        ("finetune", DataError.MISSING),
        ("finetune", INTERNAL_ERROR),
        ("finetune", NO_REPLY),
        ("finetune", UpdateRejected.UNUSABLE),
        ("aggregate", MessageRefused.SECOND_SUM),
        ("open", MessageRefused.NO_VOTE),
    ],
)
def test_server_that_cannot_do_its_own_part_yields(phase: str, code: str) -> None:
    lost = Absence(vendor="b", phase=phase, code=code, attempt=1)
    assert must_yield(lost)
    told = signed_yield(ENVELOPE, lost, KEYS["b"])
    check_yield(told, view(), KEYS["c"])
    assert told.absence.model_copy(update={"signature": None}) == lost
    assert is_possible(told.absence, 2, ROSTER), "the record of the stand-in may have it"


@pytest.mark.parametrize("code", sorted(MENDED_BY_OPENING))
def test_server_whose_own_site_obeys_another_one_does_not_yield(code: str) -> None:
    assert not must_yield(Absence(vendor="b", phase="finetune", code=code))


def test_server_whose_own_node_is_not_connected_yet_does_not_yield() -> None:
    assert not must_yield(Absence(vendor="b", phase="open", code=NO_REPLY))


@pytest.mark.parametrize("granted", [NONE_SEEN, 0, 1])
def test_own_attempt_that_the_site_would_obey_can_be_yielded(granted: int) -> None:
    check_yield(TOLD, view(granted), KEYS["c"])


def changed(**envelope: object) -> YieldAttempt:
    """Return what b signs for another envelope."""
    return signed_yield(ENVELOPE.model_copy(update=envelope), LOST, KEYS["b"])


@pytest.mark.parametrize(
    ("told", "seen", "code"),
    [
        (changed(term=2), view(), MessageRefused.TERM),
        (changed(term=4), view(), MessageRefused.TERM),
        (changed(federation="g"), view(), MessageRefused.FEDERATION),
        (changed(federation="g"), view(others=frozenset("g")), MessageRefused.FEDERATION),
        (changed(attempt=0), view(), MessageRefused.SERVER),
        (changed(attempt=0, server="a"), view(), MessageRefused.SIGNATURE),
        (TOLD, view(2), MessageRefused.ATTEMPT),
        (TOLD, view(liars=frozenset("b")), MessageRefused.LIAR),
        (TOLD.model_copy(update={"code": INTERNAL_ERROR}), view(), MessageRefused.SIGNATURE),
        (TOLD.model_copy(update={"phase": "open"}), view(), MessageRefused.SIGNATURE),
        (TOLD.model_copy(update={"signature": ""}), view(), MessageRefused.SIGNATURE),
        (
            TOLD.model_copy(update={"envelope": ENVELOPE.model_copy(update={"attempt": 4})}),
            view(),
            MessageRefused.SIGNATURE,
        ),
    ],
)
def test_what_is_not_a_vendors_own_word_about_its_own_attempt_is_refused(
    told: YieldAttempt, seen: View, code: str
) -> None:
    with pytest.raises(MessageRefused) as refused:
        check_yield(told, seen, KEYS["c"])
    assert refused.value.code == code


@pytest.mark.parametrize("code", ["", "SRFLM-D1 /srv/ct", "/srv/ct", "SRFLM-D12345", "srflm-d1"])
def test_no_text_comes_in_with_the_code(code: str) -> None:
    with pytest.raises(ValidationError):
        YieldAttempt(envelope=ENVELOPE, phase="finetune", code=code, signature="")
