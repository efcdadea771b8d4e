"""The protocol on a federation in memory: everybody is there, and a site need not obey."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from flwr.app import Message

from srflm_flower.run.folder import RunFolder
from srflm_flower.run.memory_grid import Deliver
from strategies.errors import MessageRefused
from strategies.protocol import messages as wire
from tests.support.attacks.false_models import false_model
from tests.support.faults import (
    Crash,
    at,
    delivered_twice,
    node_of,
    raising_at,
    silent_at,
)
from tests.support.rotating import run_in, same_outcome
from tests.support.tiny import VENDORS, conduct, records_of

# ---- everybody is there ----------------------------------------------------------------------


def test_every_site_ends_with_the_same_ledger(unbroken: RunFolder) -> None:
    hashes = [record.hash for record in records_of(unbroken)]
    assert len(hashes) == 3
    for vendor in VENDORS:
        assert [record.hash for record in records_of(unbroken, vendor)] == hashes


def test_server_is_the_first_of_the_ranking_before(unbroken: RunFolder) -> None:
    records = records_of(unbroken)
    assert records[0].server == "a"
    for before, after in itertools.pairwise(records):
        assert after.server == before.ranking[0]


def test_clients_are_all_but_the_server(unbroken: RunFolder) -> None:
    for record in records_of(unbroken):
        assert set(record.clients) == set(VENDORS) - {record.server}
        assert set(record.ballots) == set(VENDORS)


def test_stale_server_is_left_out_until_it_has_been_a_client(tmp_path: Path) -> None:
    run = run_in(tmp_path, aggregation__fine_tuned="replaces")
    conduct(run)
    assert [record.stale_server for record in records_of(run)] == [False, True, True]


def test_server_that_joins_brings_no_earlier_model(unbroken: RunFolder) -> None:
    assert not any(record.stale_server for record in records_of(unbroken))


def test_no_weights_travel_to_clients_for_training(tmp_path: Path) -> None:
    sent: list[tuple[str, int]] = []

    def spy(message: Message, deliver: Deliver) -> Message | None:
        sent.append((message.metadata.message_type, len(wire.models_in(message.content))))
        return deliver(message)

    conduct(run_in(tmp_path), spy)
    assert {models for kind, models in sent if kind in (wire.TRAIN, wire.COMMIT)} == {0}
    assert {models for kind, models in sent if kind == wire.FINETUNE} == {1}


def test_rounds_per_term_keep_the_server_for_several_rounds(tmp_path: Path) -> None:
    run = run_in(tmp_path, rounds_per_term=2, run__rounds=4)
    conduct(run)
    records = records_of(run)
    assert [(r.term, r.round, r.server) for r in records] == [(1, 2, "a"), (2, 4, "b")]
    assert records[0].steps["b"] > 0 and records[0].steps["a"] > records[0].steps["b"] / 2


def test_message_delivered_twice_changes_nothing(tmp_path: Path, unbroken: RunFolder) -> None:
    run = run_in(tmp_path)
    conduct(run, delivered_twice)
    same_outcome(run, unbroken)


@pytest.mark.parametrize("told", [{"ballot": None}, {"steps": 0}], ids=str)
@pytest.mark.parametrize("kind", [wire.TRAIN, wire.FINETUNE])
@pytest.mark.parametrize("rule", ["mean", "weighted-mean"])
def test_vendor_that_tells_nothing_of_its_work_stops_no_term(
    tmp_path: Path, told: dict[str, object], kind: str, rule: str
) -> None:
    run = run_in(tmp_path, run__rounds=2, aggregation__rule=rule)

    def untold(message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        if at("b", [kind])(message) and reply is not None:
            silent = wire.unpack(reply, wire.Reply).model_copy(update=told)
            reply.content = wire.pack(silent, wire.models_in(reply.content).values())
        return reply

    assert conduct(run, untold).status == "completed"
    assert [record.term for record in records_of(run)] == [1, 2]


# ---- a site need not obey --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"federation": "0" * 64}, MessageRefused.FEDERATION),
        ({"term": 7}, MessageRefused.TERM),
        ({"term": 1}, MessageRefused.TERM),
        ({"server": "d"}, MessageRefused.SERVER),
        ({"attempt": 1}, MessageRefused.SERVER),
    ],
)
def test_site_refuses_what_does_not_fit_its_view(
    tmp_path: Path, change: dict[str, object], code: str
) -> None:
    run = run_in(tmp_path)
    answers: list[wire.Reply] = []

    def forging(message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type == wire.TRAIN and message.metadata.dst_node_id == node_of(
            "c"
        ):
            work = wire.unpack(message, wire.Train)
            if work.envelope.term == 2:
                forged = work.model_copy(
                    update={"envelope": work.envelope.model_copy(update=change)}
                )
                message.content = wire.pack(forged)
                reply = deliver(message)
                assert reply is not None
                answers.append(wire.unpack(reply, wire.Reply))
                return reply
        return deliver(message)

    conduct(run, forging)
    assert {(answer.status, answer.code) for answer in answers} == {("failed", code)}


def test_model_whose_content_has_another_hash_is_refused(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    codes: set[str] = set()

    def altering(message: Message, deliver: Deliver) -> Message | None:
        sent = wire.models_in(message.content)
        if message.metadata.message_type != wire.EVALUATE or not sent or not at("c")(message):
            return deliver(message)
        noun = wire.unpack(message, wire.EvaluateModels)
        changed = [
            false_model({key: array + 1 for key, array in model.weights.items()}, name)
            for name, model in sent.items()
        ]
        message.content = wire.pack(noun, changed)
        reply = deliver(message)
        assert reply is not None
        codes.add(wire.unpack(reply, wire.Reply).code)
        return reply

    conduct(run, altering)
    assert codes == {MessageRefused.MODEL}


def test_vendor_that_trains_but_cannot_serve_has_its_turn_once_a_cycle(tmp_path: Path) -> None:
    run = run_in(tmp_path, run__rounds=9, election__by_turn_rounds=0)
    conduct(run, raising_at(at("c", [wire.FINETUNE])))
    records = records_of(run)
    assert sum(record.attempt for record in records) <= 4  # not in every term
    assert {record.server for record in records} == {"a", "b", "d"}
    served = [record.server for record in records]
    assert max(served.count(vendor) for vendor in "abd") <= 4


def test_proposal_is_committed_though_its_server_is_gone(tmp_path: Path) -> None:
    run = run_in(tmp_path)

    def crash_at_commit(message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type == wire.ACCEPT:
            raise Crash
        return deliver(message)

    with pytest.raises(Crash):
        conduct(run, crash_at_commit)
    assert records_of(run) == []
    summary = conduct(run, silent_at(at("a")))
    assert [record.term for record in records_of(run)] == [1, 2, 3]
    assert records_of(run)[0].server == "a"
    assert "no final figures from a" in summary.what_happened


def test_vendor_that_stands_in_brings_the_update_that_it_made_as_a_client(tmp_path: Path) -> None:
    run = run_in(tmp_path, run__rounds=1, aggregation__fine_tuned="replaces")
    conduct(run, raising_at(at("a", [wire.FINETUNE])))
    record = records_of(run)[0]
    assert (record.server, record.stale_server) == ("b", True)
    epoch = -(-record.ballots["b"].examples // 8)
    assert record.steps["b"] > epoch  # one epoch in either role


def test_sites_are_not_asked_again_who_is_there_after_all_have_stored_a_record(
    tmp_path: Path,
) -> None:
    opened: list[int] = []

    def spy(message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type == wire.OPEN:
            opened.append(wire.unpack(message, wire.OpenAttempt).envelope.term)
        return deliver(message)

    conduct(run_in(tmp_path), spy)
    assert set(opened) == {1}
