"""Rules of the messages of a term."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from strategies.errors import MessageRefused
from strategies.flower_private import message_without_superlink
from strategies.protocol import messages as wire
from strategies.protocol.records import Ballot, Grant, Noun, Proposal, RunOrder
from strategies.weights import Model
from tests.support.attacks.false_models import false_model
from tests.support.records import make_committed, make_record

ENVELOPE = wire.Envelope(federation="f", term=3, attempt=1, server="a")
NOUNS = [
    wire.OpenAttempt(envelope=ENVELOPE, parent="p", model="m"),
    wire.Train(envelope=ENVELOPE, round=3, model="m", steps=5),
    wire.RecallUpdate(envelope=ENVELOPE, round=1, or_initial=True),
    wire.EvaluateModels(envelope=ENVELOPE, models={"averaged": "m"}, split="test", select=False),
    wire.Accept(
        envelope=ENVELOPE,
        proposal=Proposal(
            record=make_record(1),
            signature="5",
            proof=((Grant(vendor="a", attempt=1, accepted_attempt=0, accepted="r"),),),
        ),
    ),
    wire.Commit(
        envelope=ENVELOPE,
        records=(make_committed(make_record(1)), make_committed(make_record(2))),
    ),
    wire.FetchRecords(envelope=ENVELOPE, first=2),
    wire.FetchModel(envelope=ENVELOPE, model="m"),
    wire.OrderRun(
        envelope=ENVELOPE, order=RunOrder(number=1, federation="f", rounds=3, vendor="a")
    ),
    wire.ShareBest(envelope=ENVELOPE),
    wire.Reply(vendor="a", status="done", ballot=Ballot(examples=3, loss=0.1), update="u"),
]


def sent(content: RecordDict) -> Message:
    return message_without_superlink(content, wire.TRAIN, node=1)


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: type(noun).__name__)
def test_noun_arrives_as_it_was_sent(noun: Noun) -> None:
    assert wire.unpack(sent(wire.pack(noun)), type(noun)) == noun


def test_models_travel_under_their_hash() -> None:
    model = Model.of({"w": np.arange(3, dtype=np.float32)})
    assert wire.models_in(wire.pack(NOUNS[0], [model])) == {model.hash: model}


def test_models_can_be_added_later() -> None:
    content = wire.pack(NOUNS[0])
    model = Model.of({"w": np.zeros(1, np.float32)})
    more = wire.with_models(content, [model])
    assert list(wire.models_in(more)) == [model.hash]
    assert wire.models_in(content) == {}


def test_model_is_sent_as_the_bytes_that_are_hashed_and_stored() -> None:
    model = Model.of({"w": np.zeros(1, np.float32)})
    contents = [wire.pack(NOUNS[0], [model]) for _ in range(2)]
    for content in contents:
        assert content.config_records["noun"][f"model:{model.hash}"] is model.data


def test_model_with_another_hash_is_no_part_of_an_answer() -> None:
    false = false_model({"w": np.zeros(1, np.float32)}, "0" * 64)
    content = wire.pack(wire.Reply(vendor="a", status="done", update=false.hash), [false])
    with pytest.raises(ValueError, match="another hash"):
        wire.models_in(content)
    answer = wire.answer_in(sent(content))
    assert answer is not None and answer.reply.vendor == "a" and answer.models == {}


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"noun": ConfigRecord()}),
        RecordDict({"noun": ConfigRecord({"json": "{"})}),
        RecordDict({"noun": ConfigRecord({"json": 3})}),
        wire.pack(wire.ShareBest(envelope=ENVELOPE)),
    ],
    ids=["empty", "no json", "broken json", "no text", "another noun"],
)
def test_message_without_the_noun_of_its_phase_is_refused(content: RecordDict) -> None:
    with pytest.raises(MessageRefused, match="without a valid Train") as caught:
        wire.unpack(sent(content), wire.Train)
    assert caught.value.code == MessageRefused.MALFORMED
    assert "same version at every site" in caught.value.mend


def test_field_that_this_version_does_not_know_is_refused() -> None:
    json = NOUNS[5].model_dump_json()[:-1] + ',"image":"…"}'
    with pytest.raises(MessageRefused):
        wire.unpack(sent(RecordDict({"noun": ConfigRecord({"json": json})})), wire.ShareBest)


def test_kinds_of_messages_differ() -> None:
    kinds = [wire.OPEN, wire.TRAIN, wire.RECALL, wire.FINETUNE]
    kinds += [wire.EVALUATE, wire.COMMIT, wire.SHARE]
    assert len(set(kinds)) == 7


def test_payload_is_counted_in_bytes() -> None:
    bare = wire.payload_bytes(wire.pack(NOUNS[0]))
    model = Model.of({"w": np.zeros(1000, np.float32)})
    with_model = wire.payload_bytes(wire.pack(NOUNS[0], [model]))
    assert bare >= len(NOUNS[0].model_dump_json())
    assert 4000 <= with_model - bare < 5000
