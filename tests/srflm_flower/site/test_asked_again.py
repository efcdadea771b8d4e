"""A server that asks again gets the same answer; one that asks for more of it gets none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message

from srflm_flower.run.memory_grid import Deliver
from srflm_flower.site.answered import MOST_EVALUATIONS
from strategies.errors import MessageRefused, UpdateRejected
from strategies.protocol import messages as wire
from strategies.protocol.records import Metrics
from strategies.secure_aggregation import messages as secure
from strategies.term.conversation import request
from strategies.weights import Model
from tests.support.quick_sites import InstantLearner, QuickFederation, quick_federation
from tests.support.secure_sites import SECURE, first_record, notes_of, serve
from tests.support.tiny import VENDORS

TWO_ROUNDS = {"rounds_per_term": 2, "run__rounds": 4}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFederation]:
    with quick_federation(tmp_path_factory.mktemp("plain"), ("a", "b", "c"), **TWO_ROUNDS) as sites:
        yield sites


@pytest.fixture
def sites(kept: QuickFederation) -> QuickFederation:
    """Return three sites that wait for term 1, whose servers are a, b, c, a, b, …"""
    kept.clear()
    kept.order("b", rounds=4)
    return kept


def ask(
    sites: QuickFederation, server: str, attempt: int, kind: str, *models: Model, **fields: object
) -> wire.Reply:
    """Ask site c in term 1."""
    site = sites.site("c")
    envelope = wire.Envelope(
        federation=site.federation.hash, term=1, attempt=attempt, server=server
    )
    noun = {wire.TRAIN: wire.Train, wire.EVALUATE: wire.EvaluateModels}[kind]
    asked = noun.model_validate({"envelope": envelope, **fields})
    answer = site.answer(request(asked, kind, 1, models), server)
    return wire.Reply.model_validate_json(str(answer.config_records["noun"]["json"]))


def starts(sites: QuickFederation, count: int) -> list[Model]:
    """Return models, each of which a server might say is the outcome of round 1."""
    initial = sites.site("c").site.initial
    return [
        Model.of({name: array + np_step for name, array in initial.weights.items()})
        for np_step in (1e-3 * (n + 1) for n in range(count))
    ]


def test_one_training_a_round_and_server_though_another_server_asks_in_between(
    sites: QuickFederation,
) -> None:
    first, second, third = starts(sites, 3)

    def train(server: str, attempt: int, start: Model) -> wire.Reply:
        return ask(sites, server, attempt, wire.TRAIN, start, round=2, model=start.hash)

    assert train("a", 0, first).ballot is not None
    assert train("b", 1, second).ballot is not None
    assert sites.trained["c", 2, "client"] == 2
    with pytest.raises(MessageRefused, match="a second training in one round") as caught:
        train("a", 3, third)
    assert caught.value.code == MessageRefused.PLAN
    assert sites.trained["c", 2, "client"] == 2, "nothing was spent"


def test_no_training_from_a_model_of_another_network_in_a_later_round(
    sites: QuickFederation,
) -> None:
    """Only its server knows from what a later round starts: it could be anything, or not finite."""
    initial = sites.site("c").site.initial.weights
    for change in (
        lambda array: array * np.float32(np.nan),
        lambda array: array.astype(np.float64),
        lambda array: array[:1],
    ):
        start = Model.of({name: change(array) for name, array in initial.items()})
        with pytest.raises(UpdateRejected):
            ask(sites, "a", 0, wire.TRAIN, start, round=2, model=start.hash)
    assert not sites.trained


def test_second_round_with_fewer_clients_gives_no_secure_sum(tmp_path: Path) -> None:
    """Of two sums with nearly the same start, the difference would be one client's update."""

    def fewer(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type == secure.KEYS and site == "c":
            asked = wire.unpack(message, secure.AdvertiseKeys)
            if asked.context.round == 2:
                return None
        return deliver(message)

    with quick_federation(tmp_path, VENDORS, **SECURE, **TWO_ROUNDS) as sites:
        sites.order("b", rounds=4)
        serve(sites, fewer)
        assert sites.outcomes[-1][1].code == MessageRefused.SECOND_SUM
        assert sites.head("a") == 0
        serve(sites, server="b", attempt=1)
        assert first_record(sites).clients == ("a", "c", "d"), "the next server has both sums"


def keys_of_false_sums(sites: QuickFederation, server: str) -> list[str]:
    """Ask site d, before it gets its first request for keys or models, for keys of other sums."""
    told: list[str] = []

    def asking(by: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        kind = message.metadata.message_type
        if site == "d" and kind in (secure.KEYS, wire.EVALUATE) and not told:
            envelope = wire.envelope_of(message)
            assert envelope is not None
            start = sites.site("d").site.initial.hash
            for number, model in ((2, start), (1, "0" * 64), (10**6, start)):
                noun = secure.AdvertiseKeys(
                    envelope=envelope, round=number, model=model, session="5e" * 16
                )
                reply = deliver(request(noun, secure.KEYS, message.metadata.dst_node_id))
                assert reply is not None
                told.append(wire.noun_in(reply.content, wire.Reply).code)
            assert not list(notes_of(sites, "d")), "nothing is kept of them"
        return deliver(message)

    sites.order("b", rounds=4)
    serve(sites, asking, server)
    assert sites.head("d") == 1
    return told


def test_secure_sum_begins_only_of_work_that_the_site_has_done(tmp_path: Path) -> None:
    """A sum of any round or model at the server's choice would leave a note of secrets each."""
    with quick_federation(tmp_path, VENDORS, **SECURE, **TWO_ROUNDS) as sites:
        assert keys_of_false_sums(sites, "a") == [MessageRefused.PLAN] * 3


def test_no_secure_sum_in_a_federation_whose_plan_has_none(tmp_path: Path) -> None:
    with quick_federation(tmp_path, VENDORS) as sites:
        assert keys_of_false_sums(sites, "a") == [MessageRefused.PLAN] * 3


def test_evaluation_that_is_asked_for_again_costs_nothing_and_has_the_same_noise(
    sites: QuickFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = count(1)

    def evaluate(self: InstantLearner, weights: object, split: str) -> Metrics:
        return {"accuracy": 1.0 / next(measured), "loss": 1.0}

    monkeypatch.setattr(InstantLearner, "evaluate", evaluate)
    model, *others = starts(sites, MOST_EVALUATIONS + 1)

    def told(model: Model, attempt: int = 0) -> dict[str, Metrics]:
        models = {"finetuned": model.hash}
        return ask(sites, "a", attempt, wire.EVALUATE, model, models=models).metrics

    first = told(model)
    for attempt in (0, 0, 3, 6):
        assert told(model, attempt) == first
    assert next(measured) == 2
    for other in others[:-1]:
        told(other, attempt=9)
    with pytest.raises(MessageRefused, match=f"at most {MOST_EVALUATIONS}") as caught:
        told(others[-1], attempt=12)
    assert caught.value.code == MessageRefused.PLAN
    assert told(model, attempt=12) == first
