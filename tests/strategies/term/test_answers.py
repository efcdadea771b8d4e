"""Rules of reading the vendors' answers."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, Message

from strategies.errors import UpdateRejected
from strategies.flower_private import message_without_superlink
from strategies.protocol import messages as wire
from strategies.protocol.records import VendorMetrics
from strategies.term.answers import checked_update, mean_metrics
from strategies.weights import Model, Weights
from tests.support.records import make_metrics

TEMPLATE: Weights = {"w": np.zeros(3, np.float32)}


def message(weights: Weights, update: str = "") -> Message:
    """Return a reply with an update, which it calls by its hash or by another name."""
    model = Model.of(weights)
    reply = wire.Reply(vendor="a", status="done", update=update or model.hash)
    return message_without_superlink(wire.pack(reply, [model]), wire.TRAIN)


def answer(sent: Message) -> wire.Answer:
    found = wire.answer_in(sent)
    assert found is not None
    return found


def test_update_that_fits_is_returned() -> None:
    model = checked_update(answer(message({"w": np.ones(3, np.float32)})), TEMPLATE)
    np.testing.assert_array_equal(model.weights["w"], 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_update_that_is_not_finite_is_rejected(value: float) -> None:
    sent = message({"w": np.full(3, value, np.float32)})
    with pytest.raises(UpdateRejected, match="not finite"):
        checked_update(answer(sent), TEMPLATE)


def test_update_under_another_name_than_the_reply_says_is_rejected() -> None:
    with pytest.raises(UpdateRejected, match="missing or cannot be decoded"):
        checked_update(answer(message(TEMPLATE, "v")), TEMPLATE)


@pytest.mark.parametrize("damage", [b"", bytes(9)])
def test_update_that_cannot_be_decoded_is_rejected(damage: bytes) -> None:
    small = message(TEMPLATE)
    small.content.config_records["noun"][f"model:{Model.of(TEMPLATE).hash}"] = damage
    large = message({"w": np.ones(2**19, np.float32)})
    [block] = large.content.array_records.values()
    block["safetensors"] = Array(np.frombuffer(damage, np.uint8))
    for sent in (small, large):
        with pytest.raises(UpdateRejected, match="cannot be decoded"):
            checked_update(answer(sent), TEMPLATE)


def test_metrics_are_averaged_over_the_vendors_that_have_them() -> None:
    metrics = {"a": make_metrics(0.5, 0.25), "b": VendorMetrics(averaged={"accuracy": 1.0})}
    assert dict(mean_metrics(metrics)) == {"averaged-accuracy": 0.75, "finetuned-accuracy": 0.25}
