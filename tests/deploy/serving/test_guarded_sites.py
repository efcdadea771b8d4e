"""Sites whose guards refuse terms: the next vendor serves, nobody stops, and nothing forks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from deploy.serving import term_server
from deploy.site.deployed_site import DeployedSite
from strategies.errors import MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.records import Metrics
from strategies.weights import Model, Weights
from tests.support.deployed import pass_on
from tests.support.faults import Crash
from tests.support.quick_sites import QuickFederation, crash_at, lost, quick_federation

NAMES = ("a", "b", "c", "d")


class GuardedFederation(QuickFederation):
    """Sites in which ``refused`` says by site for whose records its guard measures a poor model."""

    refused: ClassVar[dict[str, str]] = {}

    def site(self, vendor: str) -> DeployedSite:
        """Return a vendor's site, which measures by the script."""
        site = super().site(vendor)
        assert site.site.guard is not None
        measure = partial(self.measure, vendor)
        site.site.guard = replace(site.site.guard, measure=measure)
        return site

    def measure(self, vendor: str, weights: Weights) -> Metrics:
        """Return 0 for the model of a record that the vendor's guard is to refuse, else 1."""
        proposals = (self.site(v).state.ledger.proposal for v in self.refused.get(vendor, ""))
        term = self.head(vendor) + 1
        refused = {each[1].record.model for found in proposals if (each := found(term))}
        return {"accuracy": 0.0 if Model.of(weights).hash in refused else 1.0}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedFederation]:
    folder = tmp_path_factory.mktemp("sites")
    with quick_federation(folder, NAMES, GuardedFederation, aggregation__guard=0.1) as federation:
        assert isinstance(federation, GuardedFederation)
        yield federation


@pytest.fixture
def sites(kept: GuardedFederation, monkeypatch: pytest.MonkeyPatch) -> GuardedFederation:
    """Return four sites; ``a`` is elected for term 1."""
    monkeypatch.setattr(term_server, "ORDER_PATIENCE", 0.02)
    GuardedFederation.refused = {}
    kept.clear()
    assert kept.order("b", rounds=3).result == "ordered"
    return kept


def test_refused_server_yields_and_the_next_vendor_serves(sites: GuardedFederation) -> None:
    GuardedFederation.refused = {"b": "a", "c": "a", "d": "a"}
    outcome = sites.perform("a", attempt=0)
    assert (outcome.result, outcome.code) == ("yielded", MessageRefused.HARMFUL)
    held = sites.site("a").state.ledger.accepted(1)
    assert held is not None, "its own site has accepted the record"
    assert all(
        "accuracy 0.0 on this site's validation data" in site_log(sites, vendor) for vendor in "bcd"
    )
    assert sites.perform("b", attempt=1).result == "committed"
    record = sites.records("c")[0]
    assert (record.server, record.hash == held.record.hash) == ("b", False)
    (absence,) = record.absences
    assert (absence.vendor, absence.phase, absence.code) == ("a", "commit", MessageRefused.HARMFUL)
    sites.complete()
    assert sites.trained["c", 1, "client"] == 1, "nobody trains again for the next server"


def site_log(sites: QuickFederation, vendor: str) -> str:
    return (sites.folders[vendor] / "state" / "site.log").read_text()


def test_launchers_take_their_turns_past_a_refused_server(sites: GuardedFederation) -> None:
    GuardedFederation.refused = dict.fromkeys("bcd", "a")
    sites.complete(terms=3)
    assert "a" not in {record.server for record in sites.records("b")}


@pytest.mark.parametrize("liar", NAMES)
def test_one_vendor_that_refuses_everything_stops_nobody(
    sites: GuardedFederation, liar: str
) -> None:
    GuardedFederation.refused = {liar: "abcd"}
    sites.complete(terms=3)
    assert {record.attempt for record in sites.records("a")} == {0}


def test_record_that_a_quorum_may_have_accepted_is_proposed_again_though_guards_refuse_it(
    sites: GuardedFederation,
) -> None:
    """All answers are lost, so nobody knows of the quorum."""
    GuardedFederation.refused = {"d": "a"}
    sites.fault = lost(wire.ACCEPT, reply_only=True)
    assert sites.perform("a", attempt=0).result == "failed"
    held = sites.site("c").state.ledger.accepted(1)
    assert held is not None
    sites.fault = pass_on
    GuardedFederation.refused = dict.fromkeys(
        NAMES, "a"
    )  # a site that has accepted does not change its mind
    assert sites.perform("b", attempt=1).result == "committed"
    assert sites.records("d")[0] == held.record, "committed by the others, it holds for all"
    GuardedFederation.refused = {}
    sites.complete()


@pytest.mark.parametrize("after_delivery", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("refusing", ["d", "bcd"])
def test_server_that_dies_at_any_message_leaves_one_history(
    sites: GuardedFederation, refusing: str, after_delivery: bool
) -> None:
    for count in range(12, 19):  # from the last evaluation to the second that hears of a commit
        sites.clear()
        sites.order("b", rounds=3)
        GuardedFederation.refused = dict.fromkeys(refusing, "a")
        sites.fault = crash_at(count, after_delivery)
        try:
            sites.perform("a", attempt=0)
        except Crash:
            sites.restart("a")
        known = {v: sites.site(v).state.ledger.accepted(1) for v in NAMES}
        held = {each.record.hash for each in known.values() if each}
        acceptances = sum(each is not None for each in known.values())
        sites.fault, sites.down = pass_on, {"a"}
        sites.perform("b", attempt=1)
        sites.down = set()
        sites.complete()
        first = sites.records("c")[0]
        if acceptances >= 3:
            assert first.hash in held, "a quorum has accepted it, so it is the outcome"
        if refusing == "bcd":
            assert first.server != "a"


def test_nobody_forks_when_the_one_that_has_accepted_is_away(sites: GuardedFederation) -> None:
    GuardedFederation.refused = {"c": "a", "d": "a"}
    assert sites.perform("a", attempt=0).result == "yielded"
    # a and b have accepted, c and d have not: with d away, a quorum of a, b and d is possible.
    sites.down = {"d"}
    assert sites.perform("b", attempt=1).code == MessageRefused.HARMFUL
    assert sites.records("b") == []
    # With d back, its grant shows that it has not.
    sites.down = set()
    sites.complete()
    assert sites.records("d")[0].server != "a"


def test_federation_of_which_all_are_refused_goes_on_when_sites_switch_their_guards_off(
    sites: GuardedFederation,
) -> None:
    GuardedFederation.refused = dict.fromkeys(NAMES, "abcd")
    for _ in range(2 * len(NAMES)):
        sites.turn()
    assert {outcome.code for _, outcome in sites.outcomes[-8:]} == {MessageRefused.HARMFUL}
    assert {vendor for vendor, _ in sites.outcomes[-8:]} == set(NAMES), "all have tried"
    assert sites.records("a") == []
    waited, trained = sites.now, sites.trained.copy()
    for _ in NAMES:
        sites.turn()
    assert sites.now > waited + 5 * len(NAMES), "with pauses"
    assert sites.trained == trained, "a later try costs no training"
    assert sites.trained_once()
    GuardedFederation.refused = {"d": "abcd"}
    sites.complete()


def test_site_switches_its_own_guard_off(tmp_path: Path) -> None:
    with quick_federation(tmp_path, NAMES, aggregation__guard=0.1) as sites:
        assert sites.site("a").site.guard is not None
        path = sites.folders["a"] / "site.toml"
        path.write_text(path.read_text() + "\n[policy]\nguards = false\n")
        assert sites.new_process("a").site.guard is None
