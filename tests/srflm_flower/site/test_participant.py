"""What a site refuses, and that nothing which it refuses leaves a trace but a line in its audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from strategies.errors import FederationStopped, LedgerError, MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.quorum import Accepted, Votes, grant
from strategies.protocol.records import Grant, Noun, RunOrder
from strategies.protocol.signatures import (
    acceptance_statement,
    sign_grant,
    sign_order,
    sign_proposal,
)
from tests.support.attacks.false_models import false_model
from tests.support.deployed import pass_on
from tests.support.quick_sites import (
    kind_of,
    lost,
)
from tests.support.stage import Stage, ask, refused

STRANGER = "0" * 64
P = MessageRefused


def with_grants(stage: Stage, *grants: Grant) -> wire.Accept:
    proposal = stage.second.proposal.model_copy(update={"proof": (grants,)})
    return stage.second.model_copy(update={"proposal": proposal})


def grants_of(stage: Stage) -> tuple[Grant, ...]:
    return stage.second.proposal.proof[0]


def grants_of_another_attempt(stage: Stage) -> wire.Accept:
    hash_, term = stage.first.envelope.federation, stage.first.envelope.term
    higher = [
        sign_grant(hash_, term, Grant(vendor=v, attempt=4), stage.sites.site(v).keys) for v in "abc"
    ]
    return with_grants(stage, *higher)


def grants_of_another_term(stage: Stage) -> wire.Accept:
    hash_ = stage.first.envelope.federation
    older = [
        sign_grant(hash_, 1, Grant(vendor=v, attempt=1), stage.sites.site(v).keys) for v in "abc"
    ]
    return with_grants(stage, *older)


def forged_grants(stage: Stage) -> wire.Accept:
    one = grants_of(stage)[0]
    names = [grant.vendor for grant in grants_of(stage)]
    return with_grants(stage, *(one.model_copy(update={"vendor": name}) for name in names))


def altered(stage: Stage) -> wire.Accept:
    record = stage.record.model_copy(update={"learning_rate": 9.0})
    proposal = stage.second.proposal.model_copy(update={"record": record})
    return stage.second.model_copy(update={"proposal": proposal})


def replayed(stage: Stage, **changes: object) -> wire.Accept:
    envelope = stage.second.envelope.model_copy(update=changes)
    return stage.second.model_copy(update={"envelope": envelope})


UNACCEPTABLE: dict[str, tuple[Callable[[Stage], wire.Accept], str]] = {
    "without grants": (lambda s: with_grants(s), P.SIGNATURE),
    "with the grant of a minority": (
        lambda s: with_grants(s, s.second.proposal.proof[0][0]),
        P.SIGNATURE,
    ),
    "with one grant thrice": (
        lambda s: with_grants(s, *[s.second.proposal.proof[0][0]] * 3),
        P.SIGNATURE,
    ),
    "with forged grants": (forged_grants, P.SIGNATURE),
    "with grants of another attempt": (grants_of_another_attempt, P.SIGNATURE),
    "with grants of another term": (grants_of_another_term, P.SIGNATURE),
    "altered": (altered, P.SIGNATURE),
    "signed by another vendor": (lambda s: s.signed(s.site), P.SIGNATURE),
    "made by a vendor not elected": (lambda s: s.signed(s.site, server=s.site), P.SERVER),
    "made under another attempt": (lambda s: s.signed(s.record.server, attempt=2), P.SERVER),
    "of another term": (lambda s: s.signed(s.record.server, term=3), P.TERM),
    "on another parent": (lambda s: s.signed(s.record.server, parent=STRANGER), "SRFLM-L1"),
    "of another federation": (lambda s: s.signed(s.record.server, federation="x"), "SRFLM-L1"),
    "counting backwards": (lambda s: s.signed(s.record.server, round=1), "SRFLM-L1"),
    "without a succession": (lambda s: s.signed(s.record.server, ranking=()), P.MALFORMED),
    "with a succession of one": (
        lambda s: s.signed(s.record.server, ranking=(s.record.server,) * 3),
        P.MALFORMED,
    ),
    "in another federation": (lambda s: replayed(s, federation=STRANGER), P.FEDERATION),
    "under a lower attempt": (lambda s: s.first, P.ATTEMPT),
    "under another's attempt": (lambda s: replayed(s, attempt=2), P.SERVER),
}


@pytest.mark.parametrize("what", UNACCEPTABLE)
def test_record_is_not_accepted(stage: Stage, what: str) -> None:
    make, code = UNACCEPTABLE[what]
    accept = make(stage)
    sender = accept.envelope.server
    with refused(stage, sender, code):
        ask(stage, accept, wire.ACCEPT, sender)


def test_message_in_a_false_name_is_refused(stage: Stage) -> None:
    for sender in (stage.site, stage.first.envelope.server):
        for noun, kind in (
            (stage.second, wire.ACCEPT),
            (stage.committed(stage.record, "a", "b"), wire.COMMIT),
        ):
            with refused(stage, sender, P.SERVER):
                ask(stage, noun, kind, sender)


def test_model_with_another_hash_is_refused(stage: Stage) -> None:
    other = {name: array + 1 for name, array in stage.model.weights.items()}
    false = false_model(other, stage.model.hash)
    with refused(stage, stage.second.envelope.server, P.MODEL):
        ask(stage, stage.second, wire.ACCEPT, stage.second.envelope.server, false)


NOT_COMMITTED: dict[str, tuple[Callable[[Stage], Noun], str]] = {
    "with a minority": (lambda s: s.committed(s.record, "a"), P.SIGNATURE),
    "with nobody": (lambda s: s.committed(s.record), P.SIGNATURE),
    "under another attempt": (lambda s: s.committed(s.record, *"abc", attempt=2), P.SIGNATURE),
    "not made by its server": (lambda s: s.committed(s.record, *"abc", proposal=""), P.SIGNATURE),
    "with one signature thrice": (
        lambda s: s.committed(s.record, acceptances=dict.fromkeys("abc", signature_of(s, "a"))),
        P.SIGNATURE,
    ),
    "with strangers": (
        lambda s: s.committed(s.record, acceptances=dict.fromkeys("xyz", signature_of(s, "a"))),
        P.SIGNATURE,
    ),
    "that does not follow": (
        lambda s: s.committed(s.record.model_copy(update={"term": 3}), *"abc"),
        "SRFLM-L1",
    ),
    "without records": (lambda s: s.commit(), P.MALFORMED),
}


def signature_of(stage: Stage, vendor: str) -> str:
    return stage.sites.site(vendor).keys.sign(acceptance_statement(vendor, stage.record, 1))


@pytest.mark.parametrize("what", NOT_COMMITTED)
def test_record_is_not_taken_for_committed(stage: Stage, what: str) -> None:
    make, code = NOT_COMMITTED[what]
    sender = stage.second.envelope.server
    with refused(stage, sender, code):
        ask(stage, make(stage), wire.COMMIT, sender)


def test_second_history_is_refused_whoever_has_signed_it(stage: Stage) -> None:
    other = stage.sites.records("a")[0].model_copy(update={"learning_rate": 9.0})
    sender = stage.second.envelope.server
    with refused(stage, sender, LedgerError.codes[0]):
        ask(stage, stage.committed(other, *"abc"), wire.COMMIT, sender)
    accept = stage.signed("a").model_copy(
        update={
            "envelope": stage.second.envelope.model_copy(update={"term": 1}),
            "proposal": sign_proposal(other, stage.sites.site("a").keys),
        }
    )
    with refused(stage, sender, P.TERM):
        ask(stage, accept, wire.ACCEPT, sender)


def test_commit_of_several_is_taken_whole_or_not_at_all(stage: Stage) -> None:
    good = stage.committed(stage.record, *"abc")
    assert isinstance(good, wire.Commit)
    third = stage.record.model_copy(update={"term": 3, "parent": stage.record.hash, "round": 3})
    bad = stage.committed(third, "a")
    assert isinstance(bad, wire.Commit)
    sender = stage.second.envelope.server
    with refused(stage, sender, P.SIGNATURE):
        ask(stage, stage.commit(*good.records, *bad.records), wire.COMMIT, sender)


def test_other_messages_that_do_not_fit_are_refused(stage: Stage) -> None:
    now, sender = stage.second.envelope, stage.second.envelope.server
    old = now.model_copy(update={"term": 1, "attempt": 0, "server": "a"})
    train = {"round": 2, "model": stage.model.hash}
    head = stage.sites.records("a")[0]
    order = RunOrder(number=5, federation=now.federation, rounds=9, vendor="x")
    forged = sign_order(order.model_copy(update={"vendor": "a"}), stage.sites.site("b").keys)
    elsewhere = sign_order(
        order.model_copy(update={"vendor": "a", "federation": STRANGER}), stage.sites.site("a").keys
    )
    stranger = now.model_copy(update={"server": "x"})
    cases: list[tuple[Noun, str, str, str]] = [
        (wire.Train(envelope=old, **train), wire.TRAIN, "a", P.TERM),
        (wire.Train(envelope=old, **train), wire.FINETUNE, "a", P.TERM),
        (wire.Train(envelope=stage.first.envelope, **train), wire.TRAIN, "", P.ATTEMPT),
        (wire.OpenAttempt(envelope=now, parent="x", model=head.model), wire.OPEN, "", P.PARENT),
        (wire.OpenAttempt(envelope=now, parent=head.hash, model="x"), wire.OPEN, "", P.PARENT),
        (wire.OrderRun(envelope=now, order=order), wire.ORDER, "", P.NO_ORDER),
        (wire.OrderRun(envelope=now, order=forged), wire.ORDER, "", P.SIGNATURE),
        (wire.OrderRun(envelope=now, order=elsewhere), wire.ORDER, "", P.NO_ORDER),
        (wire.FetchRecords(envelope=stranger, first=1), wire.RECORDS, "", P.SERVER),
        (wire.ShareBest(envelope=now), wire.SHARE, "", P.NOT_SHARED),
        (wire.ShareBest(envelope=now), wire.ACCEPT, "", P.MALFORMED),
    ]
    for noun, kind, named, code in cases:
        server = named or noun.envelope.server  # type: ignore[attr-defined]
        with refused(stage, server, code):
            ask(stage, noun, kind, server)
    assert sender not in stage.site


@pytest.mark.parametrize("before_decision", [0, 1, 2])
def test_site_that_commits_while_it_is_asked_for_a_vote_gives_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, before_decision: int
) -> None:
    """Else it would grant an attempt and hide what it had accepted: its votes are deleted."""
    sites = stage.sites
    sites.clear()
    sites.order("b", rounds=9)
    sites.fault = lambda server, site, message, deliver: (
        None if kind_of(message) == wire.COMMIT else deliver(message)
    )
    assert sites.perform("a").result == "committed"
    site = sites.site("c")
    ledger, decisions = site.state.ledger, 0
    deciding = ledger.deciding
    assert ledger.votes(1).accepted == Accepted(0, sites.records("a")[0].hash)

    @contextmanager
    def after_a_commit() -> Iterator[object]:
        nonlocal decisions
        decisions += 1
        if decisions == before_decision + 1:
            ledger.append(sites.committed("a")[0])
        with deciding() as db:
            yield db

    monkeypatch.setattr(ledger, "deciding", after_a_commit)
    sites.fault, sites.down = pass_on, {"a"}
    outcome = sites.perform("b", attempt=1)
    assert decisions > before_decision
    assert outcome.result == "caught-up"
    assert sites.records("b") == sites.records("a")


def test_site_that_votes_while_it_is_asked_to_accept_keeps_its_promise(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was checked on arrival is checked again where it is decided."""
    sites = stage.sites
    sites.clear()
    sites.order("b", rounds=9)
    ledger = sites.site("c").state.ledger
    check = sites.site("c").site.participant.check_acceptable

    def check_then_vote(proposed: wire.Accept) -> object:
        base = check(proposed)
        with ledger.deciding() as db:
            ledger.keep_votes(db, grant(ledger.votes_in(db, 1), 1))
        return base

    monkeypatch.setitem(
        sites.site("c").site.participant.__dict__, "check_acceptable", check_then_vote
    )
    sites.fault = lost(wire.ACCEPT, to=("b",))
    assert sites.perform("a").code == FederationStopped.NO_QUORUM
    assert ledger.votes(1) == Votes(1, granted=1)
