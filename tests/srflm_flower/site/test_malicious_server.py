"""An elected server that lies: a site signs no false record and trains by no plan but its own.

The server has the keys, the turn, and the grants of a majority; only its words are false.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from strategies.errors import MessageRefused, UpdateRejected
from strategies.protocol import messages as wire
from strategies.protocol.records import (
    Absence,
    Ballot,
    Grant,
    TermRecord,
    VendorMetrics,
    VendorPrivacy,
)
from strategies.protocol.signatures import sign_grant, sign_proposal
from strategies.term.record_of_term import next_term
from strategies.weights import Model, Weights
from tests.support.stage import Stage, ask, refused

P = MessageRefused
Changes = dict[str, object]


def of_site(record: TermRecord, stage: Stage, field: str, value: object) -> Changes:
    """Return a change of what ``record`` says in ``field`` about the site that is tried."""
    return {field: {**getattr(record, field), stage.site: value}}


def privacy(**changes: object) -> VendorPrivacy:
    plain = {"epsilon": 0.0, "delta": 1e-5, "can_train": True, "can_serve": True}
    return VendorPrivacy.model_validate(plain | changes)


def absence(stage: Stage, attempt: int) -> Absence:
    return Absence(vendor=stage.site, phase="finetune", code="SRFLM-X2", attempt=attempt)


FALSE_RECORDS: dict[str, Callable[[TermRecord, Stage], Changes]] = {
    "ends the federation": lambda r, s: {"ended": "bye"},
    "counts rounds that were not trained": lambda r, s: {"round": 10**9},
    "has a learning rate of its own": lambda r, s: {"learning_rate": -1e30},
    "elects its server again": lambda r, s: {
        "ranking": (r.server, *(v for v in r.ranking if v != r.server))
        if r.ranking[0] != r.server
        else tuple(reversed(r.ranking))
    },
    "quotes another loss": lambda r, s: of_site(
        r, s, "ballots", Ballot(examples=r.ballots[s.site].examples, loss=99.0)
    ),
    "quotes more examples": lambda r, s: of_site(
        r, s, "ballots", Ballot(examples=10**6, loss=r.ballots[s.site].loss)
    ),
    "quotes other metrics": lambda r, s: of_site(
        r, s, "metrics", VendorMetrics(finetuned={"accuracy": 0.01})
    ),
    "quotes a privacy report": lambda r, s: of_site(r, s, "privacy", privacy(can_serve=False)),
    "names a stranger's ballot": lambda r, s: {
        "ballots": {**r.ballots, "mallory": Ballot(examples=1, loss=1.0)}
    },
    "names a stranger as a client": lambda r, s: {"clients": (*r.clients, "mallory")},
    "names its server as a client": lambda r, s: {"clients": (*r.clients, r.server)},
    "names a client twice": lambda r, s: {"clients": (*r.clients, r.clients[0])},
    "says that a vendor failed as server": lambda r, s: {"absences": (absence(s, 0),)},
    "tells a text as the phase of a failure": lambda r, s: {
        "absences": (Absence(vendor=s.site, phase="call me", code="SRFLM-X2", attempt=r.attempt),)
    },
    "tells a text as the code of a failure": lambda r, s: {
        "absences": (Absence(vendor=r.server, phase="train", code="call me", attempt=r.attempt),)
    },
    "tells a text as a signature": lambda r, s: {
        "absences": (absence(s, r.attempt).model_copy(update={"signature": "call me"}),)
    },
    "has no client": lambda r, s: {"clients": ()},
    "leaves a client out that has trained": lambda r, s: {
        "clients": tuple(v for v in r.clients if v != s.site)
    },
    "is longer than a ledger should keep": lambda r, s: {
        "metrics": {
            **r.metrics,
            r.server: VendorMetrics(averaged={f"{n:0100}": 1.0 for n in range(2000)}),
        }
    },
}


@pytest.mark.parametrize("lie", FALSE_RECORDS)
def test_record_that(stage: Stage, lie: str) -> None:
    server = stage.record.server
    changes = FALSE_RECORDS[lie](stage.record, stage)
    false = stage.signed(server, **changes)
    assert false.proposal.record != stage.record
    with refused(stage, server, P.RECORD):
        ask(stage, false, wire.ACCEPT, server)


def other(stage: Stage) -> str:
    """Return the client besides the site that is tried."""
    return next(v for v in stage.record.clients if v != stage.site)


FALSE_WORDS_OF_OTHERS: dict[str, Callable[[TermRecord, Stage], Changes]] = {
    "quotes another's loss": lambda r, s: {
        "ballots": {**r.ballots, other(s): Ballot(examples=10, loss=0.0)},
    },
    "quotes another's metrics": lambda r, s: {
        "metrics": {**r.metrics, other(s): VendorMetrics(finetuned={"accuracy": 1.0})}
    },
    "quotes another's report on privacy": lambda r, s: {
        "privacy": {**r.privacy, other(s): privacy(can_serve=False)}
    },
    "has a failure that nobody has signed": lambda r, s: {
        "absences": (Absence(vendor=other(s), phase="train", code="SRFLM-T1", attempt=r.attempt),)
    },
    "has no signature of its ballots": lambda r, s: {"signed": None},
}


@pytest.mark.parametrize("lie", FALSE_WORDS_OF_OTHERS)
def test_record_that_in_true_figures_otherwise(stage: Stage, lie: str) -> None:
    """The ranking and the end of the run follow from the false figures, as the election says."""
    server, site = stage.record.server, stage.sites.site(stage.site)
    false = stage.record.model_copy(update=FALSE_WORDS_OF_OTHERS[lie](stage.record, stage))
    federation, history = site.federation, site.state.ledger.records()
    ranking, ended = next_term(false, history, federation.term_plan(), federation.election_policy())
    changes = {f: getattr(false, f) for f in TermRecord.model_fields}
    false_words = stage.signed(server, **{**changes, "ranking": ranking, "ended": ended})
    with refused(stage, server, P.SIGNATURE):
        ask(stage, false_words, wire.ACCEPT, server)


@pytest.mark.parametrize("field", ["ballots", "metrics"])
def test_vendor_that_is_left_out_refuses(stage: Stage, field: str) -> None:
    record, site = stage.record, stage.sites.site(stage.site)
    kept = {v: each for v, each in getattr(record, field).items() if v != stage.site}
    false = record.model_copy(update={field: kept})
    if field == "ballots":
        steps = {v: n for v, n in record.steps.items() if v != stage.site}
        clients = tuple(v for v in record.clients if v != stage.site)
        false = false.model_copy(update={"steps": steps, "clients": clients})
    told = dict(record.signed or {})
    del told[stage.site]
    federation = site.federation
    ranking, ended = next_term(
        false, site.state.ledger.records(), federation.term_plan(), federation.election_policy()
    )
    changes = {field: kept, "steps": false.steps, "clients": false.clients, "signed": told}
    left_out = stage.signed(record.server, **changes, ranking=ranking, ended=ended)
    with refused(stage, record.server, P.RECORD):
        ask(stage, left_out, wire.ACCEPT, record.server)


def test_client_that_sent_no_update_is_not_named(stage: Stage) -> None:
    """Its privacy ledger would contradict the record for ever."""
    answered = stage.sites.site(stage.site).site.state.answered
    path = answered._path(stage.record.term)
    kept = path.read_bytes()
    path.unlink()
    try:
        with refused(stage, stage.record.server, P.RECORD):
            ask(stage, stage.second, wire.ACCEPT, stage.record.server)
    finally:
        path.write_bytes(kept)


def not_finite(weights: Weights) -> Weights:
    return {name: np.full_like(array, np.nan) for name, array in weights.items()}


FALSE_MODELS: dict[str, Callable[[Weights], Weights]] = {
    "is not finite": not_finite,
    "has other names": lambda w: {f"other-{name}": array for name, array in w.items()},
    "has another shape": lambda w: {name: np.zeros(5, np.float32) for name in w},
    "has more arrays": lambda w: {**w, "patient": np.zeros(9, np.float32)},
}


@pytest.mark.parametrize("lie", FALSE_MODELS)
def test_model_that(stage: Stage, lie: str) -> None:
    model = Model.of(FALSE_MODELS[lie](stage.model.weights))
    false = stage.signed(stage.record.server, model=model.hash)
    with refused(stage, stage.record.server, UpdateRejected("", "", "").code):
        ask(stage, false, wire.ACCEPT, stage.record.server, model)


@pytest.mark.parametrize("lie", FALSE_MODELS)
def test_model_to_evaluate_that(stage: Stage, lie: str) -> None:
    """Nothing is measured, so nothing of a metrics budget is spent, and nothing is stored."""
    model = Model.of(FALSE_MODELS[lie](stage.model.weights))
    server, envelope = stage.record.server, stage.second.envelope
    asked = wire.EvaluateModels(envelope=envelope, models={"finetuned": model.hash})
    with refused(stage, server, UpdateRejected("", "", "").code):
        ask(stage, asked, wire.EVALUATE, server, model)


@pytest.mark.parametrize("name", ["x" * 100_000, "../../federation"])
def test_name_of_a_model_that_is_no_hash_names_no_file(stage: Stage, name: str) -> None:
    asked = wire.EvaluateModels(envelope=stage.second.envelope, models={"finetuned": name})
    assert ask(stage, asked, wire.EVALUATE, stage.record.server).needs == (name,)


def test_message_that_nests_without_end(stage: Stage) -> None:
    content = RecordDict({"noun": ConfigRecord({"json": "[" * 100_000})})
    message = Message(content, dst_node_id=1, message_type=wire.TRAIN)
    with refused(stage, stage.record.server, P.MALFORMED):
        stage.sites.site(stage.site).answer(message, stage.record.server)


def test_record_other_than_the_grants_oblige_to(stage: Stage) -> None:
    """A majority may have committed the record that the grants name: another one is a fork."""
    server, envelope = stage.record.server, stage.second.envelope
    grants = [
        sign_grant(
            envelope.federation,
            envelope.term,
            Grant(
                vendor=v, attempt=1, accepted_attempt=0, accepted=stage.first.proposal.record.hash
            ),
            stage.sites.site(v).keys,
        )
        for v in "abc"
    ]
    assert stage.record.hash != stage.first.proposal.record.hash
    with refused(stage, server, P.RECORD):
        ask(stage, with_proof(stage, stage.record, grants), wire.ACCEPT, server)


def test_record_that_the_server_says_it_has_accepted_before(stage: Stage) -> None:
    """Its own grant obliges it to nothing without a proof: test_proof.py has longer ones."""
    envelope, server = stage.second.envelope, stage.record.server
    grants = [Grant(vendor=v, attempt=1) for v in "abc"]
    named = {"accepted_attempt": 0, "accepted": stage.record.hash}
    signed = [
        sign_grant(
            envelope.federation,
            envelope.term,
            each.model_copy(update=named) if each.vendor == server else each,
            stage.sites.site(each.vendor).keys,
        )
        for each in grants
    ]
    with refused(stage, server, P.RECORD):
        ask(stage, with_proof(stage, stage.record, signed), wire.ACCEPT, server)


def with_proof(stage: Stage, record: TermRecord, *levels: list[Grant]) -> wire.Accept:
    """Return the second proposal with other grants."""
    proposal = sign_proposal(record, stage.sites.site(record.server).keys)
    proposal = proposal.model_copy(update={"proof": tuple(map(tuple, levels))})
    return stage.second.model_copy(update={"proposal": proposal})


FALSE_WORK: dict[str, Changes] = {
    "in a round that the term does not have": {"round": 3},
    "in a round far away": {"round": 10**6},
    "in a round that is over": {"round": 1},
    "from a model of its own": {"model": "f" * 64},
    "in steps of its own": {"steps": 0},
    "for ever": {"steps": 10**9},
}


@pytest.mark.parametrize("lie", FALSE_WORK)
def test_work(stage: Stage, lie: str) -> None:
    head = stage.sites.records("a")[0]
    plain: Changes = {"envelope": stage.second.envelope, "round": 2, "model": head.model}
    work = wire.Train.model_validate(plain | FALSE_WORK[lie])
    before = dict(stage.sites.trained)
    with refused(stage, stage.record.server, P.PLAN):
        ask(stage, work, wire.TRAIN, stage.record.server)
    assert stage.sites.trained == before


def test_server_asks_no_node_but_its_own_to_fine_tune(stage: Stage) -> None:
    work = wire.Train(envelope=stage.second.envelope, round=2, model=stage.model.hash)
    with refused(stage, stage.record.server, P.SERVER):
        ask(stage, work, wire.FINETUNE, stage.record.server)


def test_honest_record_is_signed_after_all_that(stage: Stage) -> None:
    reply = ask(stage, stage.second, wire.ACCEPT, stage.record.server)
    assert reply.signature
