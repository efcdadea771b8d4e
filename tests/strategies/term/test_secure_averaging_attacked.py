"""Secure aggregation in a federation in memory whose server cheats: what the sites refuse."""

from __future__ import annotations

import pytest
from flwr.app import Message, RecordDict

from srflm_flower.run.memory_grid import Deliver
from strategies.errors import MessageRefused
from strategies.flower_private import message_without_superlink
from strategies.protocol import messages as wire
from strategies.protocol.records import Noun
from strategies.secure_aggregation import messages as secure
from strategies.term.conversation import parse_reply
from tests.support.quick_sites import QuickFederation, lost
from tests.support.secure_sites import KINDS, first_record, notes_of, serve


def changed(message: Message, kind: type[Noun], **fields: object) -> Message:
    """Return ``message`` with fields of its noun replaced."""
    noun = wire.unpack(message, kind).model_copy(update=fields)
    return same_as(message, message.metadata.message_type, wire.pack(noun))


def same_as(message: Message, kind: str, content: RecordDict) -> Message:
    data = message.metadata
    return message_without_superlink(content, kind, data.dst_node_id, data.message_id)


def answer_of(reply: Message | None) -> wire.Reply:
    parsed = parse_reply(reply) if reply is not None else None
    assert parsed is not None
    return parsed


def fewer_keys(message: Message) -> Message:
    keys = wire.unpack(message, secure.ShareSecrets).keys
    return changed(message, secure.ShareSecrets, keys=keys[1:])


def test_client_that_gets_another_list_of_keys_is_not_in_the_sum(sites: QuickFederation) -> None:
    def two_lists(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if site == "c" and message.metadata.message_type == secure.SHARES:
            message = fewer_keys(message)
        return deliver(message)

    serve(sites, two_lists)
    assert first_record(sites).clients == ("b", "d")


def test_client_that_is_sent_a_second_list_of_keys_refuses_it(sites: QuickFederation) -> None:
    answers: list[wire.Reply] = []

    def two_lists(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        if site == "c" and message.metadata.message_type == secure.SHARES:
            answers.append(answer_of(deliver(fewer_keys(message))))
        return reply

    serve(sites, two_lists)
    assert [(each.code, each.shares) for each in answers] == [(MessageRefused.INCONSISTENT, {})]


def test_two_sets_of_survivors_are_caught(sites: QuickFederation) -> None:
    def two_sets(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if site == "c" and message.metadata.message_type == secure.CONFIRM:
            message = changed(message, secure.ConfirmSurvivors, survivors=("b", "c"))
        return deliver(message)

    serve(sites, two_sets)
    absences = {(a.vendor, a.code) for a in first_record(sites).absences}
    assert absences == {("c", MessageRefused.INCONSISTENT)}  # two of three have confirmed the other


def test_server_gets_no_second_sum_of_other_clients_in_one_round(sites: QuickFederation) -> None:
    serve(sites, lost(wire.FINETUNE))  # a has its sum
    for vendor in ("b", "c", "d"):
        assert all('"released":true' in path.read_text() for path in notes_of(sites, vendor))
    serve(sites, lost(secure.KEYS, to=("c",)), attempt=4)
    assert sites.outcomes[-1][1].code == MessageRefused.SECOND_SUM
    assert serve(sites, attempt=4) is not None, "the same sum again"
    assert first_record(sites).clients == ("b", "c", "d")


@pytest.mark.parametrize("kind", [wire.RECALL, wire.FINETUNE])
def test_server_gets_no_weights_of_another_vendor(sites: QuickFederation, kind: str) -> None:
    answers: list[Message | None] = []

    def greedy(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        if site == "c" and message.metadata.message_type == wire.TRAIN:
            train = wire.unpack(message, wire.Train)
            recall = wire.RecallUpdate(envelope=train.envelope, round=1, or_initial=True)
            noun = recall if kind == wire.RECALL else train
            answers.append(deliver(same_as(message, kind, wire.pack(noun))))
        return reply

    serve(sites, greedy)
    (answer,) = answers
    assert answer is not None and wire.models_in(answer) == {}
    assert answer_of(answer).code == MessageRefused.SERVER


def test_key_with_a_forged_signature_is_refused_by_all(sites: QuickFederation) -> None:
    codes: list[str] = []

    def forging(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type != secure.SHARES:
            return deliver(message)
        first, *rest = wire.unpack(message, secure.ShareSecrets).keys
        forged = first.model_copy(update={"mask_key": "12" * 32})
        reply = deliver(changed(message, secure.ShareSecrets, keys=(forged, *rest)))
        codes.append(answer_of(reply).code)
        return reply

    assert serve(sites, forging) is None
    # the one whose key it is misses its own; the others miss its signature
    assert sorted(codes) == [MessageRefused.INCONSISTENT] + 2 * [MessageRefused.SIGNATURE]
    sites.complete(3)


def test_questions_of_a_committed_term_are_refused(sites: QuickFederation) -> None:
    recorded: list[tuple[str, Message]] = []

    def recording(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type in KINDS:
            recorded.append((site, message))
        return deliver(message)

    serve(sites, recording)
    assert sites.head("b") == 1 and len(recorded) == 15
    for site, message in recorded:
        with pytest.raises(MessageRefused) as refused:
            sites.site(site).answer(message, "a")
        assert refused.value.code == MessageRefused.TERM
