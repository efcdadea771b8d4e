"""Who says so: a signature holds for one statement of one vendor, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from strategies.errors import MessageRefused
from strategies.protocol.proof import check_proof
from strategies.protocol.records import (
    Certificate,
    Committed,
    Edition,
    Grant,
    LogAnchor,
    Proposal,
    RunOrder,
    TermRecord,
)
from strategies.protocol.signatures import (
    NoKeys,
    VendorKeys,
    acceptance_statement,
    check_committed,
    check_order,
    check_proposal,
    grant_statement,
    order_statement,
    record_statement,
    sign_grant,
    sign_order,
    sign_proposal,
)
from tests.support.records import FEDERATION, make_record

ROSTER = ("a", "b", "c")
EDITION = Edition(federation="f" * 64, roster=ROSTER)
PRIVATE = {vendor: Ed25519PrivateKey.generate() for vendor in ROSTER}
PUBLIC = {vendor: key.public_key().public_bytes_raw().hex() for vendor, key in PRIVATE.items()}
KEYS = {vendor: VendorKeys(key, PUBLIC) for vendor, key in PRIVATE.items()}
ANYBODY = VendorKeys(None, PUBLIC)
RECORD = make_record(2, parent="p" * 64)
ORDER = RunOrder(number=1, federation=FEDERATION, rounds=3, vendor="b")


def committed(record: TermRecord = RECORD, by: str = "ab", attempt: int = 0) -> Committed:
    statements = {vendor: acceptance_statement(vendor, record, attempt) for vendor in by}
    certificate = Certificate(
        attempt=attempt,
        proposal=sign_proposal(record, KEYS["a"]).signature,
        acceptances={vendor: KEYS[vendor].sign(said) for vendor, said in statements.items()},
    )
    return Committed(record=record, certificate=certificate)


def grants(by: str = "ab", attempt: int = 3, term: int = 2, of: str = FEDERATION) -> list[Grant]:
    plain = [Grant(vendor=vendor, attempt=attempt) for vendor in by]
    return [sign_grant(of, term, each, KEYS[each.vendor]) for each in plain]


def check(given: list[Grant], attempt: int = 3, term: int = 2) -> None:
    record = make_record(term, parent="p" * 64)
    record = record.model_copy(update={"attempt": attempt, "server": ROSTER[attempt % 3]})
    proposal = Proposal(record=record, proof=(tuple(given),))
    check_proof(proposal, attempt, EDITION, ROSTER, ANYBODY)


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except MessageRefused as error:
        assert error.code == MessageRefused.SIGNATURE
        return True
    return False


def test_what_was_signed_is_believed() -> None:
    check_proposal(sign_proposal(RECORD, KEYS["a"]), ANYBODY)
    check_order(sign_order(ORDER, KEYS["b"]), ANYBODY)
    check_committed(committed(), EDITION, ANYBODY)
    check_committed(committed(by="abc", attempt=7), EDITION, ANYBODY)
    check(grants())


def test_statements_of_different_kinds_and_contents_never_coincide() -> None:
    grant = Grant(vendor="a", attempt=3)
    later = RECORD.model_copy(update={"term": 3})
    statements = [
        *(record_statement(record) for record in (RECORD, later)),
        *(grant_statement(of, term, grant) for of in ("f", "g") for term in (1, 2)),
        grant_statement("f", 1, grant.model_copy(update={"attempt": 4})),
        grant_statement("f", 1, grant.model_copy(update={"accepted": "x"})),
        grant_statement("f", 1, grant.model_copy(update={"accepted_attempt": 1})),
        grant_statement("f", 1, grant.model_copy(update={"vendor": "b"})),
        *(acceptance_statement(vendor, RECORD, at) for vendor in "ab" for at in (0, 1)),
        acceptance_statement("a", later, 0),
        order_statement(ORDER),
        order_statement(ORDER.model_copy(update={"rounds": 4})),
        order_statement(ORDER.model_copy(update={"number": 2})),
    ]
    assert len(set(statements)) == len(statements)


def test_signature_is_no_part_of_what_is_signed() -> None:
    assert order_statement(sign_order(ORDER, KEYS["b"])) == order_statement(ORDER)
    grant = Grant(vendor="a", attempt=3)
    signed = sign_grant(FEDERATION, 2, grant, KEYS["a"])
    assert grant_statement(FEDERATION, 2, signed) == grant_statement(FEDERATION, 2, grant)


@pytest.mark.parametrize("signature", ["", "00", "zz", "0" * 128, "ß" * 64])
def test_nonsense_is_no_signature(signature: str) -> None:
    assert not ANYBODY.verify("a", b"statement", signature)
    assert not ANYBODY.verify("stranger", b"statement", KEYS["a"].sign(b"statement"))
    assert refused(lambda: check_proposal(Proposal(record=RECORD, signature=signature), ANYBODY))


def test_record_is_believed_of_its_own_server_only() -> None:
    assert refused(lambda: check_proposal(sign_proposal(RECORD, KEYS["b"]), ANYBODY))
    signature = sign_proposal(RECORD, KEYS["a"]).signature
    altered = RECORD.model_copy(update={"model": "another"})
    assert refused(lambda: check_proposal(Proposal(record=altered, signature=signature), ANYBODY))


def test_grants_count_once_a_vendor_and_for_one_attempt_of_one_term() -> None:
    one, two = grants()
    assert refused(lambda: check([one]))
    assert refused(lambda: check([one, one, one]))
    assert refused(lambda: check([one, two.model_copy(update={"vendor": "c"})]))
    assert refused(lambda: check([one, two.model_copy(update={"accepted": "x"})]))
    assert refused(lambda: check(grants(attempt=2)))
    assert refused(lambda: check(grants(term=1)))
    assert refused(lambda: check(grants(of="x" * 64)))
    check([one, two, two.model_copy(update={"vendor": "c"})])  # a forged one spoils nothing


def test_record_is_committed_by_a_majority_under_one_attempt() -> None:
    def changed(**changes: object) -> Committed:
        good = committed()
        return good.model_copy(update={"certificate": good.certificate.model_copy(update=changes)})

    first, second = committed().certificate.acceptances.values()
    other = committed(make_record(3, parent="q" * 64)).certificate.acceptances
    for bad in (
        committed(by=""),
        committed(by="a"),
        changed(attempt=1),
        changed(proposal=""),
        changed(acceptances={"a": first, "b": first}),
        changed(acceptances={"a": second, "b": first}),
        changed(acceptances={"a": first, "stranger": second}),
        changed(acceptances={"a": first, "b": second, "c": first}),
        changed(acceptances=other),
        committed(RECORD.model_copy(update={"server": "b"})),
    ):
        assert refused(lambda bad=bad: check_committed(bad, EDITION, ANYBODY))  # type: ignore[misc]
    check_committed(committed(), EDITION, ANYBODY)


def test_certificate_has_no_message_log_without_a_signature_for_it() -> None:
    found = committed()
    logs = {"mallory": LogAnchor(lines=1, head="0" * 64)}
    more = found.certificate.model_copy(update={"logs": logs})
    assert refused(
        lambda: check_committed(Committed(record=RECORD, certificate=more), EDITION, ANYBODY)
    )


def test_order_is_believed_of_its_own_vendor_only() -> None:
    signed = sign_order(ORDER, KEYS["b"])
    assert refused(lambda: check_order(sign_order(ORDER, KEYS["a"]), ANYBODY))
    for changes in ({"rounds": 9}, {"number": 2}, {"vendor": "a"}, {"federation": "x"}):
        assert refused(lambda c=changes: check_order(signed.model_copy(update=c), ANYBODY))  # type: ignore[misc]


def test_public_keys_cannot_sign() -> None:
    with pytest.raises(ValueError, match="not sign"):
        ANYBODY.sign(b"statement")


def test_simulation_signs_nothing_and_believes_everything() -> None:
    keys = NoKeys()
    assert keys.sign(b"statement") == ""
    check_proposal(sign_proposal(RECORD, keys), keys)
    unsigned = Committed(
        record=RECORD, certificate=Certificate(attempt=0, acceptances={"a": "", "b": ""})
    )
    check_committed(unsigned, EDITION, keys)
    alone = unsigned.certificate.model_copy(update={"acceptances": {"a": ""}})
    minority = unsigned.model_copy(update={"certificate": alone})
    assert refused(lambda: check_committed(minority, EDITION, keys)), "but it can count"
