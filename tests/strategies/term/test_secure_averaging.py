"""Secure aggregation in a federation in memory, with vendors lost and servers that cheat."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message, RecordDict

from clients.training import Work
from srflm_flower.run.memory_grid import Deliver
from strategies.errors import FederationStopped, MessageRefused, UpdateRejected
from strategies.flower_private import message_without_superlink
from strategies.protocol import messages as wire
from strategies.protocol.records import Noun, TermRecord
from strategies.secure_aggregation import messages as secure
from strategies.secure_aggregation.quantising import agreed_quantiser
from strategies.term.conversation import parse_reply
from strategies.weights import Weights, from_arrays
from tests.support.deployed import SiteFault, pass_on
from tests.support.faults import Crash, node_of, term_of
from tests.support.quick_sites import (
    InstantLearner,
    QuickFederation,
    crash_at,
    lost,
    quick_federation,
)
from tests.support.tiny import VENDORS, conduct, new_run, records_of, tiny_federation

KINDS = (secure.KEYS, secure.SHARES, secure.MASKED, secure.CONFIRM, secure.UNMASK)
BEFORE_THE_SUM = KINDS[:3]
SECURE = {"evaluate_averaged": False, "aggregation__secure": True}


def assert_same(weights: Weights, expected: Weights, atol: float = 0.0) -> None:
    assert set(weights) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(weights[name], array, rtol=0, atol=atol)


# ---- with training ---------------------------------------------------------------------------


def averages(folder: Path, name: str, **changes: object) -> dict[int, Weights]:
    """Conduct a run of two terms; return the averaged model of each, as the server sent it."""
    seen: dict[int, Weights] = {}

    def spy(message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type == wire.FINETUNE:
            (arrays,) = wire.models_in(message).values()
            seen[term_of(message)] = from_arrays(arrays)
        return deliver(message)

    changes = {"run__rounds": 2} | changes
    conduct(new_run(tiny_federation(folder, **changes), folder / name), spy)
    return seen


def test_mean_is_that_of_plain_aggregation_up_to_the_rounding_step(tmp_path: Path) -> None:
    securely = averages(tmp_path, "secure", **SECURE)
    plainly = averages(tmp_path, "plain", evaluate_averaged=False)
    step = agreed_quantiser(64.0, len(VENDORS)).step
    float32 = 2.0**-22  # of weights up to 4
    assert_same(securely[1], plainly[1], step / 2 + float32)
    assert_same(securely[2], plainly[2], 1e-5)  # the same but for what training makes of it


def test_no_weights_of_one_vendor_reach_another(tmp_path: Path) -> None:
    told: set[tuple[str, bool, int]] = set()

    def spy(message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        envelope = wire.envelope_of(message)
        assert reply is not None and envelope is not None
        own = message.metadata.dst_node_id == node_of(envelope.server)
        told.add((message.metadata.message_type, own, len(wire.models_in(reply))))
        return reply

    run = new_run(tiny_federation(tmp_path, run__rounds=2, **SECURE), tmp_path / "run")
    conduct(run, spy)
    with_weights = {(kind, own) for kind, own, count in told if count and kind != wire.SHARE}
    assert with_weights == {(wire.RECALL, True), (wire.FINETUNE, True)}
    assert [record.stale_server for record in records_of(run)] == [False, True]
    assert all(len(record.ballots) == 4 for record in records_of(run))


# ---- sites with keys, and vendors that are lost ----------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFederation]:
    with quick_federation(tmp_path_factory.mktemp("sites"), VENDORS, **SECURE) as federation:
        yield federation


@pytest.fixture
def sites(kept: QuickFederation) -> QuickFederation:
    """Return four sites; ``a`` is elected for term 1, so that b, c, and d are its clients."""
    kept.clear()
    kept.order("b", rounds=3)
    return kept


def serve(
    sites: QuickFederation, fault: SiteFault = pass_on, server: str = "a", attempt: int = 0
) -> Weights | None:
    """Let a vendor serve term 1; return the average that it had fine-tuned, if it got so far."""
    seen: list[Weights] = []

    def spy(by: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type == wire.FINETUNE:
            (arrays,) = wire.models_in(message).values()
            seen.append(from_arrays(arrays))
        return fault(by, site, message, deliver)

    sites.fault = spy
    try:
        sites.perform(server, attempt=attempt)
    finally:
        sites.fault = pass_on
    return seen[-1] if seen else None


def mean_of(sites: QuickFederation, *vendors: str) -> Weights:
    """Return the mean of what these clients train in round 1."""
    start, work = sites.site("a").initial, Work(0.1, 1)
    learners = [InstantLearner(v, Counter(), VENDORS.index(v)) for v in vendors]
    trained = [learner.train(start, work, "client", 1) for learner in learners]
    return {n: np.mean([each.weights[n] for each in trained], axis=0) for n in start}


def first(sites: QuickFederation) -> TermRecord:
    return sites.records("a")[0]


def test_deployed_sites_aggregate_securely(sites: QuickFederation) -> None:
    averaged = serve(sites)
    assert averaged is not None
    assert_same(averaged, mean_of(sites, "b", "c", "d"), 2e-7)
    sites.complete(3)
    for record in sites.records("a"):
        assert set(record.clients) == set(VENDORS) - {record.server}


def test_secrets_are_for_the_owner_only_and_go_with_their_term(sites: QuickFederation) -> None:
    seen: list[tuple[str, int]] = []

    def spy(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        kept = list(notes_of(sites, site))
        assert {stat.S_IMODE(path.stat().st_mode) for path in kept} <= {0o600}
        if site != server:
            seen.append((message.metadata.message_type, len(kept)))
        return reply

    serve(sites, spy)
    assert {count for kind, count in seen if kind in KINDS} == {1}
    assert {count for kind, count in seen if kind == wire.COMMIT} == {0}


def notes_of(sites: QuickFederation, vendor: str) -> Iterator[Path]:
    return (sites.site(vendor).settings.state / "secure").glob("t*.json")


def test_every_message_may_be_answered_by_a_new_process(sites: QuickFederation) -> None:
    def restarted(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        sites.restart(site)
        return deliver(message)

    averaged = serve(sites, restarted)
    assert averaged is not None
    assert_same(averaged, mean_of(sites, "b", "c", "d"), 2e-7)


def test_message_delivered_twice_changes_nothing(sites: QuickFederation) -> None:
    def twice(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        deliver(message)
        return deliver(message)

    averaged = serve(sites, twice)
    assert averaged is not None
    assert_same(averaged, mean_of(sites, "b", "c", "d"), 2e-7)


@pytest.mark.parametrize("reply_only", [False, True])
@pytest.mark.parametrize("vendor", ["b", "d"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_client_may_be_lost_in_any_phase(
    sites: QuickFederation, kind: str, vendor: str, reply_only: bool
) -> None:
    averaged = serve(sites, lost(kind, to=(vendor,), reply_only=reply_only))
    record = first(sites)
    assert (vendor, "aggregate") in {(a.vendor, a.phase) for a in record.absences}
    gone = {vendor} if kind in BEFORE_THE_SUM else set()
    counted = [v for v in ("b", "c", "d") if v not in gone]
    assert list(record.clients) == counted
    assert set(record.ballots) == {"a", *counted}
    assert averaged is not None
    assert_same(averaged, mean_of(sites, *counted), 2e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_two_of_three_clients_lost_reveal_nothing(sites: QuickFederation, kind: str) -> None:
    released: list[str] = []

    def fault(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        reply = lost(kind, to=("c", "d"))(server, site, message, deliver)
        if message.metadata.message_type == secure.UNMASK and reply is not None:
            released.append(site)
        return reply

    assert serve(sites, fault) is None
    outcome = sites.outcomes[-1][1]
    assert outcome.code == FederationStopped.TOO_FEW_CLIENTS
    assert "nothing was revealed" in outcome.text
    assert len(released) < 2
    sites.complete(3)  # also checks that nobody has trained twice


def test_server_that_fails_hands_over_and_nobody_trains_twice(sites: QuickFederation) -> None:
    serve(sites, lost(wire.FINETUNE))
    averaged = serve(sites, server="b", attempt=1)
    assert first(sites).clients == ("a", "c", "d")
    assert averaged is not None
    assert_same(averaged, mean_of(sites, "a", "c", "d"), 3e-3)  # b's own last update is in it
    assert sites.trained_once()


@pytest.mark.parametrize("after_delivery", [False, True])
@pytest.mark.slow
def test_server_that_crashes_at_any_message_loses_nothing(
    sites: QuickFederation, after_delivery: bool
) -> None:
    for count in range(7, 23, 3):  # the last client's training, then the five questions
        sites.clear()
        sites.order("b", rounds=2)
        with pytest.raises(Crash):
            serve(sites, crash_at(count, after_delivery))
        sites.complete(2)


def test_update_out_of_range_is_left_out_with_a_code(
    sites: QuickFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = InstantLearner.train

    def far_off(self, weights, work, role, round_number, checkpoint=None, term=0):
        trained = train(self, weights, work, role, round_number)
        if self.vendor == "c":
            trained = replace(trained, weights={n: a + 65 for n, a in trained.weights.items()})
        return trained

    monkeypatch.setattr(InstantLearner, "train", far_off)
    serve(sites)
    record = first(sites)
    assert record.clients == ("b", "d")
    assert ("c", UpdateRejected.OUT_OF_RANGE) in {(a.vendor, a.code) for a in record.absences}


# ---- the server cheats -----------------------------------------------------------------------


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
    assert first(sites).clients == ("b", "d")


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
    absences = {(a.vendor, a.code) for a in first(sites).absences}
    assert absences == {("c", MessageRefused.INCONSISTENT)}  # two of three have confirmed the other


def test_server_gets_no_second_sum_of_other_clients_in_one_round(sites: QuickFederation) -> None:
    serve(sites, lost(wire.FINETUNE))  # a has its sum
    for vendor in ("b", "c", "d"):
        assert all('"released":true' in path.read_text() for path in notes_of(sites, vendor))
    serve(sites, lost(secure.KEYS, to=("c",)), attempt=4)
    assert sites.outcomes[-1][1].code == MessageRefused.SECOND_SUM
    assert serve(sites, attempt=4) is not None, "the same sum again"
    assert first(sites).clients == ("b", "c", "d")


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


def test_site_that_has_lost_its_state_takes_no_part_until_the_next_term(
    sites: QuickFederation,
) -> None:
    sites.lose_disk("c")
    serve(sites)
    record = first(sites)
    assert record.clients == ("b", "d")
    assert ("c", MessageRefused.INCONSISTENT) in {(a.vendor, a.code) for a in record.absences}
    sites.complete(3)
