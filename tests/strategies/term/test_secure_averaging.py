"""Secure aggregation in a federation in memory, and vendors that are lost in it."""

from __future__ import annotations

import stat
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message

from clients.training import Work
from srflm_flower.run.memory_grid import Deliver
from strategies.errors import FederationStopped, MessageRefused, UpdateRejected
from strategies.protocol import messages as wire
from strategies.secure_aggregation import messages as secure
from strategies.secure_aggregation.quantising import agreed_quantiser
from strategies.weights import Weights
from tests.support.faults import Crash, node_of, term_of
from tests.support.quick_sites import InstantLearner, QuickFederation, crash_at, lost
from tests.support.secure_sites import KINDS, SECURE, first_record, notes_of, serve
from tests.support.tiny import VENDORS, conduct, new_run, records_of, tiny_federation

BEFORE_THE_SUM = KINDS[:3]


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
            (model,) = wire.models_in(message.content).values()
            seen[term_of(message)] = model.weights
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


@pytest.mark.parametrize("fine_tuned", ["replaces", "joins"])
def test_no_weights_of_one_vendor_reach_another(fine_tuned: str, tmp_path: Path) -> None:
    told: set[tuple[str, bool, int]] = set()

    def spy(message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        envelope = wire.envelope_of(message)
        assert reply is not None and envelope is not None
        own = message.metadata.dst_node_id == node_of(envelope.server)
        told.add((message.metadata.message_type, own, len(wire.models_in(reply.content))))
        return reply

    changes = {**SECURE, "run__rounds": 2, "aggregation__fine_tuned": fine_tuned}
    run = new_run(tiny_federation(tmp_path, **changes), tmp_path / "run")
    conduct(run, spy)
    recalls = fine_tuned == "replaces"
    with_weights = {(kind, own) for kind, own, count in told if count and kind != wire.SHARE}
    assert with_weights == {(wire.FINETUNE, True), *([(wire.RECALL, True)] if recalls else [])}
    assert [record.stale_server for record in records_of(run)] == [False, recalls]
    assert all(len(record.ballots) == 4 for record in records_of(run))


# ---- sites with keys, and vendors that are lost ----------------------------------------------


def mean_of(sites: QuickFederation, *vendors: str) -> Weights:
    """Return the mean of what these clients train in round 1."""
    start, work = sites.site("a").initial.weights, Work(0.1, 1)
    learners = [InstantLearner(v, Counter(), VENDORS.index(v)) for v in vendors]
    trained = [learner.train(start, work, "client", 1) for learner in learners]
    return {n: np.mean([each.weights[n] for each in trained], axis=0) for n in start}


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


def test_every_message_may_be_answered_by_a_new_process(sites: QuickFederation) -> None:
    def restarted(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        sites.new_process(site)
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
    record = first_record(sites)
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
    assert first_record(sites).clients == ("a", "c", "d")
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
    record = first_record(sites)
    assert record.clients == ("b", "d")
    assert ("c", UpdateRejected.OUT_OF_RANGE) in {(a.vendor, a.code) for a in record.absences}


def test_site_that_has_lost_its_state_takes_no_part_until_the_next_term(
    sites: QuickFederation,
) -> None:
    sites.lose_disk("c")
    serve(sites)
    record = first_record(sites)
    assert record.clients == ("b", "d")
    assert ("c", MessageRefused.INCONSISTENT) in {(a.vendor, a.code) for a in record.absences}
    sites.complete(3)
