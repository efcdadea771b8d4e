"""Numbers of run orders: neither a lost state nor one huge number blocks later orders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from deploy.operating import own_job, run_orders
from deploy.serving import term_server
from deploy.serving.job import JobOutcome, ServerJob
from strategies.errors import FederationStopped, MessageRefused
from strategies.protocol.admission import MAX_ORDERS_AHEAD
from strategies.protocol.bounds import MAX_NUMBER
from strategies.protocol.records import RunOrder
from tests.support.quick_sites import QuickFederation

NAMES = ("a", "b", "c")


@pytest.fixture
def sites(kept: QuickFederation, monkeypatch: pytest.MonkeyPatch) -> QuickFederation:
    monkeypatch.setattr(term_server, "ORDER_PATIENCE", 0.02)
    monkeypatch.setattr(term_server.time, "sleep", lambda seconds: None)
    kept.clear()
    assert kept.order("b", rounds=1).result == "ordered"
    return kept


def numbers(sites: QuickFederation) -> list[int]:
    orders = [sites.site(vendor).state.ledger.order() for vendor in NAMES]
    return [order.number if order is not None else 0 for order in orders]


class InMemory:
    """The own SuperLink of a site in memory: it does each task at once.

    Of the first runs it ends ``stopped`` without an outcome, before or after they are done.
    """

    def __init__(
        self, perform: Callable[..., JobOutcome], vendor: str, stopped: tuple[str, ...] = ()
    ) -> None:
        self._perform, self._vendor, self._stopped = perform, vendor, [*stopped]
        self._outcomes: dict[str, JobOutcome] = {}

    def start(self, task: ServerJob) -> int:
        fields: dict[str, Any] = {"name": task.name, "kind": task.kind, "order": task.order}
        when = self._stopped.pop(0) if self._stopped else ""
        if when == "before":
            return 1
        outcome = self._perform(self._vendor, **fields)
        if not when:
            self._outcomes[task.name] = outcome
        return 1

    def ended(self, run: int, task: str) -> bool:
        return True

    def outcome(self, task: str) -> JobOutcome | None:
        return self._outcomes.get(task)


def run(
    sites: QuickFederation,
    vendor: str,
    rounds: int,
    patch: pytest.MonkeyPatch,
    stopped: tuple[str, ...] = (),
) -> RunOrder:
    """Do what ``srflm run`` does."""
    patch.setattr(own_job, "read_notes", lambda layout: object())
    superlink = InMemory(sites.perform, vendor, stopped)
    patch.setattr(own_job, "own_superlink", lambda layout: superlink)
    return run_orders.order_rounds(sites.site(vendor), rounds)


def test_number_has_a_limit(sites: QuickFederation) -> None:
    with pytest.raises(ValidationError):
        RunOrder(number=MAX_NUMBER + 1, federation="f", rounds=1, vendor="a")


@pytest.mark.parametrize("number", [MAX_NUMBER, MAX_ORDERS_AHEAD + 2])
def test_huge_number_is_followed_nowhere_and_blocks_no_later_order(
    sites: QuickFederation, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    outcome = sites.order("a", rounds=9, number=number)
    assert (outcome.result, outcome.code) == ("failed", FederationStopped.NO_QUORUM)
    assert numbers(sites) == [1, 1, 1]
    assert run(sites, "c", 2, monkeypatch).number == 2
    assert numbers(sites) == [2, 2, 2]
    assert sites.order("a", rounds=9, number=2 + MAX_ORDERS_AHEAD).result == "ordered"


def test_old_order_is_not_answered_as_if_it_were_followed(sites: QuickFederation) -> None:
    assert sites.order("a", rounds=7, number=2).result == "ordered"
    old = sites.order("b", rounds=1, number=1)
    assert (old.result, old.number) == ("outnumbered", 2)
    site = sites.site("b")
    first = RunOrder(number=1, federation=site.federation.hash, rounds=1, vendor="b")
    with pytest.raises(MessageRefused, match="after run order 2 of a"):
        participant = sites.site("c").site.participant
        participant.follow(run_orders.sign_order(first, site.keys))


@pytest.mark.parametrize("stopped", [("before",), ("after",), ("after", "before")])
def test_order_given_while_the_site_starts_is_taken_though_the_launcher_stops_its_run(
    sites: QuickFederation, monkeypatch: pytest.MonkeyPatch, stopped: tuple[str, ...]
) -> None:
    """A launcher that starts stops all runs that it finds: it does not follow them."""
    assert run(sites, "c", 4, monkeypatch, stopped).number == 2
    assert numbers(sites) == [2, 2, 2]


def test_restored_site_learns_the_orders_that_it_has_missed_before_it_gives_one(
    sites: QuickFederation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sites.disconnect()
    shutil.copytree(sites.folders["c"] / "state", tmp_path / "copy")
    for number in (2, 3):
        assert sites.order("a", rounds=number, number=number).result == "ordered"
    sites.lose_disk("c", tmp_path / "copy")
    assert numbers(sites) == [3, 3, 1]
    assert run(sites, "c", 5, monkeypatch).number == 4
    assert numbers(sites) == [4, 4, 4]


def test_term_that_is_committed_while_the_others_are_shown_is_shown_too(
    sites: QuickFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's last term comes between the look at the records and that at the rounds."""
    order = run(sites, "c", 2, monkeypatch)
    sites.run_to(1)
    ledger = sites.site("c").state.ledger
    read, shown = ledger.records, list[int]()

    def records_of_before(first: int = 1) -> Any:
        found = read(first)
        sites.run_to(2)
        return found

    monkeypatch.setattr(ledger, "records", records_of_before)
    monkeypatch.setattr(run_orders.time, "sleep", lambda seconds: None)
    run_orders.follow(sites.site("c"), order, 0, lambda record: shown.append(record.term))
    assert shown == [1, 2]


def test_site_that_comes_back_learns_the_order_even_after_thousands(
    sites: QuickFederation,
) -> None:
    sites.down = {"c"}
    for number in range(2, 2 + 3 * MAX_ORDERS_AHEAD, MAX_ORDERS_AHEAD):
        assert sites.order("a", rounds=2, number=number).result == "ordered"
    sites.down = set()
    assert sites.perform("c", kind="sync").result == "synced"
    assert numbers(sites) == [2002, 2002, 2002]
    sites.complete(2)


def test_one_site_that_tells_of_a_huge_order_leads_nobody_there(
    sites: QuickFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    liar = sites.site("b")
    huge = RunOrder(number=MAX_NUMBER, federation=liar.federation.hash, rounds=9, vendor="b")
    monkeypatch.setattr(liar.state.ledger, "order", lambda: run_orders.sign_order(huge, liar.keys))
    assert sites.perform("c", kind="sync").result == "synced"
    assert numbers(sites) == [1, MAX_NUMBER, 1]
    assert run(sites, "c", 2, monkeypatch).number == 2
