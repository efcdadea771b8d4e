"""The protocol between deployed sites, in memory: keys, disks, and faults are real."""

from __future__ import annotations

from pathlib import Path

import pytest
from flwr.app import Message

from deploy.serving import term_server
from deploy.serving.job import read_outcome
from srflm_flower.run.memory_grid import Deliver
from strategies.errors import FederationStopped, MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.records import RunOrder
from strategies.protocol.signatures import sign_order
from tests.support.deployed import DeployedFederation, SiteFault, pass_on
from tests.support.faults import Crash
from tests.support.quick_sites import (
    QuickFederation,
    content_of,
    crash_at,
    kind_of,
    lost,
)
from tests.support.tiny import tiny_federation

NAMES = ("a", "b", "c")
MESSAGES = 15
"""In term 1 of three vendors: 3 open, 2 train, 1 fine-tune, then 3 of each kind."""


@pytest.fixture
def sites(kept: QuickFederation, monkeypatch: pytest.MonkeyPatch) -> QuickFederation:
    """Return three sites; ``b`` has ordered three rounds, and ``a`` is elected for term 1."""
    monkeypatch.setattr(term_server, "ORDER_PATIENCE", 0.02)
    monkeypatch.setattr(term_server.time, "sleep", lambda seconds: None)
    kept.clear()
    assert kept.order("b", rounds=3).result == "ordered"
    return kept


def test_terms_run_one_after_another_on_the_elected_sites(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, NAMES))
    assert sites.order("b", rounds=3).result == "ordered"
    servers = [sites.turn() for _ in range(3)]
    assert [outcome.result for _, outcome in sites.outcomes[1:]] == ["committed"] * 3
    for vendor in NAMES:
        assert [record.server for record in sites.records(vendor)] == servers
        assert sites.records(vendor) == sites.records("a")


def test_server_that_knows_where_everybody_is_asks_only_those_that_are_behind(
    sites: QuickFederation,
) -> None:
    asked: list[str] = []

    def listening(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        asked.append(kind_of(message))
        return deliver(message)

    sites.launchers_know_nodes, sites.fault = True, listening
    sites.run_to(1)
    assert wire.OPEN not in asked
    sites.down = {"c"}
    sites.run_to(2)
    sites.down, sites.fault = set(), listening
    asked.clear()
    sites.order("a", rounds=5, number=2)
    sites.turn()
    assert asked.count(wire.OPEN) > 0, "c, which was away, did not fit"
    assert sites.head("c") == 3
    assert {"a", "b", "c"} == {*sites.records("a")[2].clients, sites.records("a")[2].server}
    assert sites.trained_once()
    sites.complete(5)


def test_server_that_knows_where_everybody_is_brings_the_run_order_to_who_missed_it(
    sites: QuickFederation,
) -> None:
    sites.launchers_know_nodes, sites.down = True, {"c"}
    sites.run_to(3)
    assert sites.order("a", rounds=5, number=2).result == "ordered"
    sites.down = set()
    sites.complete(5)


# ---- a server that dies ----------------------------------------------------------------------


def test_vendor_that_is_down_when_elected_hands_over_to_runner_up(sites: QuickFederation) -> None:
    sites.down = {"a"}
    assert sites.turn() == "b"
    (record,) = sites.records("b")
    assert (record.server, record.attempt, record.clients) == ("b", 1, ("c",))
    sites.down = set()
    sites.complete()


def accepted_somewhere(sites: QuickFederation) -> set[str]:
    ledgers = [sites.site(vendor).state.ledger for vendor in NAMES]
    held = [ledger.accepted(1) for ledger in ledgers]
    return {each.record.hash for each in held if each} | {
        record.hash for ledger in ledgers for record in ledger.records()
    }


@pytest.mark.parametrize("after_delivery", [False, True], ids=["before", "after"])
def test_vendor_that_dies_as_server_at_any_message_hands_over(
    sites: QuickFederation, after_delivery: bool
) -> None:
    taken_over = 0
    for count in range(MESSAGES):
        sites.clear()
        sites.order("b", rounds=3)
        sites.fault = crash_at(count, after_delivery)
        with pytest.raises(Crash):
            sites.turn()
        sites.fault, sites.down = pass_on, {"a"}
        found = {
            held.record.hash
            for vendor in "bc"
            if (held := sites.site(vendor).state.ledger.accepted(1)) is not None
        } | {record.hash for vendor in "bc" for record in sites.records(vendor)}
        sites.run_to(1)
        first = sites.records("b")[0]
        if found:
            assert {first.hash} == found, f"what a majority may have accepted holds ({count})"
            taken_over += 1
        sites.down = set()
        sites.complete()
        assert all(sites.trained[vendor, 1, "client"] <= 1 for vendor in NAMES)
    assert taken_over >= 3


@pytest.mark.parametrize("after_delivery", [False, True], ids=["before", "after"])
def test_server_that_restarts_at_any_message_goes_on_with_its_attempt(
    sites: QuickFederation, after_delivery: bool
) -> None:
    for count in range(MESSAGES):
        sites.clear()
        sites.order("b", rounds=3)
        sites.fault = crash_at(count, after_delivery)
        with pytest.raises(Crash):
            sites.turn()
        sites.restart("a")
        sites.fault = pass_on
        proposal = sites.site("a").state.ledger.proposal(1)
        known = accepted_somewhere(sites) | ({proposal[1].record.hash} if proposal else set())
        outcome = sites.perform("a", attempt=0)
        assert outcome.result in ("committed", "failed"), outcome
        sites.complete()
        first = sites.records("a")[0]
        assert (first.server, first.attempt) == ("a", 0)
        assert known <= {first.hash}, f"the stored proposal is the one that is proposed ({count})"


def test_record_accepted_by_one_site_is_proposed_again_by_the_stand_in(
    sites: QuickFederation,
) -> None:
    sites.fault = lost(wire.ACCEPT, to=("a", "b"))
    assert sites.perform("a").code == FederationStopped.NO_QUORUM
    held = sites.site("c").state.ledger.accepted(1)
    assert held is not None
    sites.fault, sites.down = pass_on, {"a"}
    assert sites.perform("b", attempt=1).result == "committed"
    (committed,) = sites.committed("b")
    assert committed.record == held.record
    assert committed.certificate.attempt == 1
    assert set(committed.certificate.acceptances) == {"b", "c"}
    sites.down = set()
    sites.complete()


def test_stand_in_without_that_site_in_its_majority_makes_a_record_of_its_own(
    sites: QuickFederation,
) -> None:
    sites.fault = lost(wire.ACCEPT, to=("b", "c"))
    sites.perform("a")
    held = sites.site("a").state.ledger.accepted(1)
    sites.fault, sites.down = pass_on, {"a"}
    assert sites.perform("b", attempt=1).result == "committed"
    assert held is not None
    assert sites.records("b")[0].server == "b"
    assert sites.trained["c", 1, "client"] == 1
    sites.down = set()
    sites.complete()


def test_two_candidates_that_interleave_anywhere_make_one_history(sites: QuickFederation) -> None:
    for count in range(MESSAGES):
        sites.clear()
        sites.order("b", rounds=3)
        sites.fault = other_serves_at(sites, count, "b", 1)
        first = sites.perform("a").result
        second = next(outcome.result for vendor, outcome in sites.outcomes[1:] if vendor == "b")
        sites.fault = pass_on
        assert {first, second} & {"committed", "caught-up"}, (count, first, second)
        sites.agree()
        sites.complete()


def other_serves_at(sites: QuickFederation, count: int, vendor: str, attempt: int) -> SiteFault:
    """Let ``vendor`` serve, whole, before the ``count``-th message of somebody else's."""
    seen = -1

    def fault(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        nonlocal seen
        seen += server != vendor
        if seen == count and server != vendor:
            seen += 1
            sites.perform(vendor, attempt=attempt)
        return deliver(message)

    return fault


@pytest.mark.parametrize("knows", [False, True])
def test_vendor_that_is_not_elected_is_not_obeyed(sites: QuickFederation, knows: bool) -> None:
    sites.launchers_know_nodes = knows
    before = {vendor: content_of(sites.site(vendor)) for vendor in NAMES}
    outcome = sites.perform("c", attempt=0)
    assert (outcome.result, outcome.code) == ("failed", FederationStopped.NO_QUORUM)
    assert {vendor: content_of(sites.site(vendor)) for vendor in NAMES} == before
    assert not sites.trained


def test_signature_that_nobody_can_verify_is_no_acceptance(sites: QuickFederation) -> None:
    """Else the server has committed what no other site follows, and the federation is stuck."""
    wrong = sites.site("b").keys  # c has the key of b
    sites.site("c").site.participant.__dict__["keys"] = wrong
    sites.down = {"b"}
    outcome = sites.perform("a")
    assert (outcome.result, outcome.code) == ("failed", FederationStopped.NO_QUORUM)
    assert "1 of 3 vendors stored" in outcome.text
    assert sites.head("a") == 0
    sites.down = set()
    assert sites.perform("a").result == "committed", "a and b are a majority"
    sites.complete()


def test_vote_that_lacks_its_proposal_is_none(sites: QuickFederation) -> None:
    sites.fault = lost(wire.ACCEPT, to=("a", "b"))
    sites.perform("a")

    def hiding(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        if kind_of(message) != wire.OPEN or site != "c" or reply is None:
            return reply
        plain = wire.unpack(reply, wire.Reply).model_copy(update={"accepted": None})
        return Message(wire.pack(plain), reply_to=message)

    sites.fault, sites.down = hiding, {"a"}
    assert sites.perform("b", attempt=1).code == FederationStopped.NO_QUORUM
    assert sites.site("b").state.ledger.proposal(1) is None


# ---- run orders ------------------------------------------------------------------------------


def order_of(sites: QuickFederation, vendor: str, rounds: int, number: int) -> RunOrder:
    site = sites.site(vendor)
    order = RunOrder(number=number, federation=site.federation.hash, rounds=rounds, vendor=vendor)
    return sign_order(order, site.keys)


def test_order_of_a_vendor_that_is_not_obeyed_is_refused(sites: QuickFederation) -> None:
    for vendor in "ab":
        settings = sites.site(vendor).settings
        policy = settings.policy.model_copy(update={"runs_from": ("b",)})
        sites.keep(vendor, settings.model_copy(update={"policy": policy}))
    outcome = sites.order("c", rounds=9, number=2)
    assert (outcome.result, outcome.code) == ("failed", FederationStopped.NO_QUORUM)
    assert MessageRefused.NO_ORDER in outcome.text
    orders = [sites.site(vendor).state.ledger.order() for vendor in NAMES]
    assert [order.number for order in orders if order] == [1, 1, 2]


def test_forged_order_and_a_second_one_with_the_same_number_are_refused(
    sites: QuickFederation,
) -> None:
    before = [sites.site(vendor).state.ledger.order() for vendor in NAMES]
    forged = order_of(sites, "a", 9, 2).model_copy(update={"rounds": 99})
    second = order_of(sites, "c", 9, 1)
    outcome = sites.perform("a", kind="order", order=forged)
    assert outcome.result == "failed"
    assert f"'{MessageRefused.SIGNATURE}'" in outcome.text
    assert sites.perform("a", kind="order", order=second).result == "outnumbered"
    with pytest.raises(MessageRefused) as refused:
        sites.site("b").site.participant.follow(second)
    assert refused.value.code == MessageRefused.NO_ORDER
    assert [sites.site(vendor).state.ledger.order() for vendor in NAMES] == before


def test_order_with_a_higher_number_holds_and_fewer_rounds_end_the_run(
    sites: QuickFederation,
) -> None:
    sites.down = {"c"}
    assert sites.order("a", rounds=7, number=2).result == "ordered"
    assert sites.order("b", rounds=3, number=1).result == "outnumbered"
    sites.down = set()
    sites.run_to(2)
    orders = [sites.site(vendor).state.ledger.order() for vendor in NAMES]
    assert {order.number for order in orders if order} == {2}, "the opening carries it"
    assert sites.order("c", rounds=1, number=3).result == "ordered"
    assert all(sites.site(vendor).state.ledger.open_order() is None for vendor in NAMES)


def test_no_term_is_opened_once_the_ordered_rounds_are_done(sites: QuickFederation) -> None:
    sites.run_to(3)
    outcome = sites.perform(sites.site("a").site.participant.view().ranking[0])
    assert outcome.result == "failed" and MessageRefused.NO_ORDER in outcome.text
    assert [len(sites.records(vendor)) for vendor in NAMES] == [3, 3, 3]


def test_damaged_ledger_fails_the_task_and_nothing_is_raised(sites: QuickFederation) -> None:
    sites.disconnect()
    (sites.folders["a"] / "state" / "ledger.sqlite").write_bytes(b"no database" * 1000)
    outcome = sites.perform("a")
    assert (outcome.result, outcome.code) == ("failed", "SRFLM-L1")
    run_folder = sites.site("a").settings.run
    assert read_outcome(run_folder, outcome.task) == outcome
