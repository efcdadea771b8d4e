"""What is refused at a site's last door, and what passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from srflm_flower.federation.federation import Federation
from srflm_flower.site.outgoing import DECLARED, check_outgoing
from strategies.errors import PrivacyError
from strategies.protocol import messages as wire
from strategies.protocol.records import Ballot
from strategies.secure_aggregation.messages import with_masked
from strategies.weights import Model, Weights, encode_weights

WEIGHTS: Weights = {"w": np.zeros((2, 3), np.float32), "b": np.zeros(3, np.float32)}
SMALL = RecordDict({"noun": ConfigRecord({"json": '{"vendor": "a", "status": "done"}'})})


def federation(**tables: Any) -> Federation:
    return Federation.model_validate(
        {
            "name": "outgoing",
            "vendors": [{"name": name, "size": 100} for name in ("a", "b", "c", "d")],
            "task": {"classes": ["no", "yes"]},
            "run": {"rounds": 3},
            **tables,
        }
    )


def private(metrics: str = "withheld") -> Federation:
    return federation(
        privacy={"unit": "record", "client-steps": 1, "server-steps": 1, "client-noise": 1.0}
        | {"server-noise": 1.0, "metrics": metrics, "batch-size": 10}
    )


def answer(**fields: Any) -> RecordDict:
    return wire.pack(wire.Reply.model_validate({"vendor": "a", "status": "done"} | fields))


def with_model(weights: Weights) -> RecordDict:
    return wire.pack(wire.Reply(vendor="a", status="done", update="h"), [Model.of(weights)])


def refused(content: RecordDict, where: Federation) -> str:
    with pytest.raises(PrivacyError) as caught:
        check_outgoing(content, WEIGHTS, where, "a")
    assert caught.value.code == PrivacyError.UNDECLARED
    return str(caught.value)


def test_every_field_of_an_answer_is_declared() -> None:
    assert wire.Reply.model_fields.keys() == DECLARED.keys()


@pytest.mark.parametrize("size", [3, 2**19], ids=["in the noun", "in a record of its own"])
def test_weights_of_the_network_pass(size: int) -> None:
    weights = {"w": np.zeros(size, np.float32)}
    content = with_model(weights)
    assert check_outgoing(content, weights, federation(), "a") is content


@pytest.mark.parametrize(
    "weights",
    [
        WEIGHTS | {"momentum": np.zeros(3, np.float32)},
        WEIGHTS | {"b": np.zeros(4, np.float32)},
        WEIGHTS | {"b": np.zeros(3, np.float64)},
    ],
    ids=["another name", "another shape", "another type"],
)
def test_arrays_that_are_no_weights_are_refused(weights: Weights) -> None:
    assert "no weights of the network" in refused(with_model(weights), federation())


@pytest.mark.parametrize(
    "content",
    [
        RecordDict({**SMALL, "images": ArrayRecord({"x": Array(np.zeros(2))})}),
        RecordDict({**SMALL, "means": MetricRecord({"mean": 0.5})}),
        RecordDict({**SMALL, "paths": ConfigRecord({"data": "here"})}),
        RecordDict({"noun": ConfigRecord({**SMALL.config_records["noun"], "error": "why"})}),
        RecordDict({**SMALL, "model:h": ConfigRecord({"text": "no arrays"})}),
    ],
    ids=["arrays", "metrics", "texts", "a text beside the noun", "a text in a model's place"],
)
def test_what_no_answer_has_is_refused(content: RecordDict) -> None:
    assert check_outgoing(SMALL, WEIGHTS, federation(), "a") is SMALL
    refused(content, federation())


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"noun": ConfigRecord({"json": '{"vendor": "a", "patient": "b"}'})}),
        RecordDict(
            {"noun": ConfigRecord({**SMALL.config_records["noun"], "model:h": b"no safetensors"})}
        ),
        RecordDict({**SMALL, "model:h": ArrayRecord({"x": Array(np.zeros(2))})}),
        RecordDict(
            {
                **SMALL,
                "model:h": ArrayRecord(
                    {
                        "safetensors": Array(np.frombuffer(encode_weights(WEIGHTS), np.uint8)),
                        "images": Array(np.zeros(2)),
                    }
                ),
            }
        ),
    ],
    ids=["nothing", "another field", "no model", "bare arrays", "more than a model"],
)
def test_what_is_no_noun_or_no_model_is_refused(content: RecordDict) -> None:
    assert "another kind" in refused(content, federation())


def test_masked_update_passes_only_where_sums_are_secure() -> None:
    content = with_masked(answer(), np.zeros(9, np.uint32))
    secure = federation(**{"aggregation": {"secure": True}, "evaluate-averaged": False})
    assert check_outgoing(content, WEIGHTS, secure, "a") is content
    assert "masked" in refused(content, federation())
    for count in (8, 10):
        wrong = with_masked(answer(), np.zeros(count, np.uint32))
        assert "one number for every weight" in refused(wrong, secure)


def test_private_site_tells_its_public_size_alone() -> None:
    told = answer(ballot=Ballot(examples=99, loss=0.1))
    assert "public size" in refused(told, private())
    check_outgoing(told, WEIGHTS, federation(), "a")
    check_outgoing(answer(ballot=Ballot(examples=100, loss=0.1)), WEIGHTS, private(), "a")


@pytest.mark.parametrize(
    ("setting", "passes", "refuses"),
    [
        ("withheld", {}, {"accuracy": 0.5}),
        ("noisy", {"accuracy": 0.5, "examples": 30.0}, {"accuracy": 0.5, "auc": 0.5}),
    ],
)
def test_private_site_tells_metrics_as_agreed(
    setting: str, passes: dict[str, float], refuses: dict[str, float]
) -> None:
    check_outgoing(answer(metrics={"averaged": passes}), WEIGHTS, private(setting), "a")
    assert "without noise" in refused(answer(metrics={"averaged": refuses}), private(setting))
    check_outgoing(answer(metrics={"averaged": refuses}), WEIGHTS, private("exact"), "a")
