"""Each baseline does what its paper says, at equal gradient steps, on the tiny federation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message, RecordDict

from srflm_flower.comparison import baseline_app, flower_run
from srflm_flower.comparison.baselines.registry import BASELINES
from srflm_flower.comparison.baselines.scaffold import effective_steps
from srflm_flower.comparison.meter import Meter
from srflm_flower.comparison.methods import METHODS, MethodResult, run_baseline
from srflm_flower.comparison.scoring import Outcome, sites_of
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.run.memory_grid import Deliver
from strategies.weights import Weights, from_arrays, hash_weights
from tests.support.tiny import new_run, tiny_federation

NAMES = ("a", "b", "c")
BUDGET = StepBudget(rounds=({"a": 5, "b": 4, "c": 4}, {"a": 4, "b": 9, "c": 4}))
ROUNDS = len(BUDGET.rounds)


@dataclass(frozen=True)
class Seen:
    """All messages of a run with their answers, and its outcome before it is scored."""

    messages: list[tuple[Message, Message]]
    outcome: Outcome
    asked: list[int]
    """The nodes in the order in which they were asked."""

    def sent(self, kind: str = "train", record: str = "arrays") -> list[Weights]:
        """Return what the vendors answered."""
        return [
            from_arrays(reply.content.array_records[record])
            for message, reply in self.messages
            if message.metadata.message_type == kind and record in reply.content.array_records
        ]

    def received(self, kind: str = "train", record: str = "arrays") -> list[Weights]:
        """Return what the vendors received."""
        return [
            from_arrays(message.content.array_records[record])
            for message, _ in self.messages
            if message.metadata.message_type == kind
        ]

    def own(self) -> list[Weights]:
        """Return each vendor's own model at the end."""
        sites = sites_of(self.outcome.run, self.outcome.federation)
        return [baseline_app.own_model(site) for site in sites]


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return tiny_federation(tmp_path, NAMES, run__rounds=ROUNDS)


Watch = Callable[..., Seen]
Place = tuple[int, str, int]


def place_of(message: Message) -> Place:
    """Return a message's place: FedAvg asks the vendors in an order of its own."""
    number = int(str(message.content.config_records["config"]["server-round"]))
    kind = "1" if message.metadata.message_type == "train" else "2"
    return number, kind, message.metadata.dst_node_id


@pytest.fixture
def watched(tmp_path: Path, federation: Federation, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Return a function that runs a method and notes its messages."""
    messages: list[tuple[Place, tuple[Message, Message]]] = []

    class Noting(Meter):
        def deliver(self, message: Message, deliver: Deliver) -> Message | None:
            place = place_of(message)  # now: Flower writes the next round into the same record
            reply = super().deliver(message, deliver)
            assert reply is not None
            content = RecordDict({**reply.content})  # the server takes records out of its own
            kept = Message(content, reply_to=message)
            messages.append((place, (message, kept)))
            return reply

    monkeypatch.setattr(flower_run, "Meter", Noting)

    def run(method: Any, folder: str = "") -> Seen:
        messages.clear()
        place = new_run(federation, tmp_path / (folder or method))
        outcome = flower_run.run_on_flower(method, place, federation, BUDGET, 0.1)
        in_order = sorted(messages, key=lambda noted: noted[0])
        asked = [noted[0][2] for noted in messages]
        return Seen([pair for _, pair in in_order], outcome, asked)

    return run


def shared_names(seen: Seen) -> set[frozenset[str]]:
    return {frozenset(each) for each in [*seen.sent(), *seen.received("evaluate")]}


def test_fedavg_is_fedbn_where_the_federation_keeps_normalisation_at_home(
    tmp_path: Path, federation: Federation, watched: Watch
) -> None:
    at_home = with_changes(federation, aggregation__normalisation="at-home")
    run = new_run(at_home, tmp_path / "at-home")
    plain = watched("fedbn").outcome
    asked = flower_run.run_on_flower("fedavg", run, at_home, BUDGET, 0.1)
    assert plain.released is not None and asked.released is not None
    assert hash_weights(asked.released) == hash_weights(plain.released)


@pytest.mark.parametrize("method", METHODS[1:])
def test_every_baseline_takes_the_steps_of_the_budget(
    tmp_path: Path, federation: Federation, method: Any
) -> None:
    result: MethodResult = run_baseline(method, federation, tmp_path / method, BUDGET, 0.1)
    assert result.steps == BUDGET.total
    assert result.personalised.keys() == set(NAMES)
    assert (result.global_all is None) == (method == "local")
    assert result.seconds > 0
    assert (result.bytes_sent > 100_000) == (method not in ("local", "pooled"))


def test_every_method_is_a_baseline_or_has_a_run_of_its_own() -> None:
    assert set(METHODS) - BASELINES.keys() == {
        "srflm",
        "srflm-paper",
        "srflm-finetuned",
        "round-robin",
        "fixed-server",
        "pooled",
    }
    assert BASELINES.keys() <= set(METHODS)


# ---- what stays at home ----------------------------------------------------------------------


def test_fedbn_sends_no_normalisation_weight(watched: Watch) -> None:
    seen = watched("fedbn")
    site = sites_of(seen.outcome.run, seen.outcome.federation)[0]
    at_home = BASELINES["fedbn"].at_home(site)
    assert {name.split(".")[-1] for name in at_home} >= {"running_mean", "running_var", "weight"}
    assert shared_names(seen) == {frozenset(site.initial.weights.keys() - at_home)}


def test_fedbn_goes_on_with_its_own_statistics_and_scores_their_mean(watched: Watch) -> None:
    seen = watched("fedbn")
    own, released = seen.own(), seen.outcome.released
    name = next(name for name in own[0] if name.endswith("running_mean"))
    assert (own[0][name] != own[1][name]).any()
    assert released is not None
    whole = flower_run.with_means(
        BASELINES["fedbn"], sites_of(seen.outcome.run, seen.outcome.federation)
    )(released)
    np.testing.assert_allclose(
        whole[name], np.mean([each[name] for each in own], axis=0), rtol=1e-5
    )


def test_fedrep_sends_no_head(watched: Watch) -> None:
    seen = watched("fedrep")
    site = sites_of(seen.outcome.run, seen.outcome.federation)[0]
    head = {"classifier.weight", "classifier.bias"}
    assert BASELINES["fedrep"].at_home(site) == head
    assert shared_names(seen) == {frozenset(site.initial.weights.keys() - head)}


def test_local_sends_and_receives_no_weights(watched: Watch) -> None:
    seen = watched("local")
    assert seen.sent() == [] and seen.received("evaluate") == []
    assert all(each == {} for each in seen.received())
    assert seen.outcome.released is None


# ---- the order of the work -------------------------------------------------------------------


def test_fine_tuning_starts_from_the_last_global_model_and_sends_nothing(watched: Watch) -> None:
    seen = watched("fedavg-finetuned")
    assert len(seen.sent()) == ROUNDS * len(NAMES) < len(seen.received())
    last_round = seen.received()[-len(NAMES) :]
    last_global = seen.received("evaluate")[-1]
    for received in last_round:
        assert all((received[name] == last_global[name]).all() for name in last_global)
    assert all(
        any((own[name] != last_global[name]).any() for name in last_global) for own in seen.own()
    )


def test_ditto_sends_the_global_model_and_keeps_its_own(watched: Watch) -> None:
    seen = watched("ditto")
    for sent, own in zip(seen.sent()[-len(NAMES) :], seen.own(), strict=True):
        assert any((sent[name] != own[name]).any() for name in sent)


def test_own_model_of_ditto_is_drawn_to_the_global_one(
    watched: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = []
    for strength in (0.0, 10.0):
        monkeypatch.setattr("srflm_flower.comparison.baselines.ditto.LAMBDA", strength)
        seen = watched("ditto", folder=f"ditto-{strength}")
        pairs = zip(seen.received()[-len(NAMES) :], seen.own(), strict=True)
        far.append(sum(np.square(v[n] - w[n]).sum() for w, v in pairs for n in w))
    assert far[0] > far[1] > 0


def test_first_rounds_of_scaffold_and_of_the_plain_mean_agree(watched: Watch) -> None:
    """Control variates begin with zeros, so the first round is FedAvg's."""
    scaffold, fedavg = watched("scaffold"), watched("fedavg")
    firsts = [seen.sent()[: len(NAMES)] for seen in (scaffold, fedavg)]
    for one, other in zip(*firsts, strict=True):
        assert all((one[name] == other[name]).all() for name in one)
    later = [seen.sent()[-1] for seen in (scaffold, fedavg)]
    assert any((later[0][name] != later[1][name]).any() for name in later[0])


def test_first_control_variates_are_the_mean_gradients_of_the_round(watched: Watch) -> None:
    """Option II with c = c_i = 0: c_i⁺ = (x − y) / (a·η)."""
    seen = watched("scaffold")
    settings = seen.outcome.federation.training
    of_first = zip(seen.received(), seen.sent(), seen.sent(record="control"), strict=True)
    for name, (start, end, change) in zip(NAMES, of_first, strict=False):
        scale = settings.learning_rate * effective_steps(BUDGET.steps(name, 1), settings.momentum)
        for weight, array in change.items():
            expected = (start[weight] - end[weight]) / scale
            np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-6)
    means = {
        name: np.mean([each[name] for each in seen.sent(record="control")[: len(NAMES)]], axis=0)
        for name in seen.sent(record="control")[0]
    }
    for name, array in seen.received(record="control")[len(NAMES)].items():
        np.testing.assert_allclose(array, means[name], rtol=1e-4, atol=1e-6)


def test_same_seed_asks_the_vendors_in_the_same_order(watched: Watch) -> None:
    """Sums of floats depend on it, and FedAvg draws it."""
    one, other = watched("fedavg", folder="one"), watched("fedavg", folder="other")
    assert one.asked == other.asked
    released = one.outcome.released, other.outcome.released
    assert released[0] is not None and released[1] is not None
    assert hash_weights(released[0]) == hash_weights(released[1])


def test_later_rounds_of_scaffold_hear_of_the_servers_control_variate(watched: Watch) -> None:
    seen = watched("scaffold")
    first, later = seen.received(record="control")[0], seen.received(record="control")[-1]
    assert first == {} and any(array.any() for array in later.values())
