"""Messages between deployed sites that are lost, late, or doubled, and sites that are cut off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flwr.app import Message

from srflm_flower.run.memory_grid import Deliver
from strategies.errors import FederationStopped
from strategies.protocol import messages as wire
from tests.support.deployed import pass_on
from tests.support.quick_sites import (
    QuickFederation,
    content_of,
    kind_of,
    lost,
    quick_federation,
    split,
)

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFederation]:
    with quick_federation(tmp_path_factory.mktemp("sites"), NAMES) as federation:
        yield federation


@pytest.fixture
def sites(kept: QuickFederation) -> QuickFederation:
    """Return three sites; ``b`` has ordered three rounds, and ``a`` is elected for term 1."""
    kept.clear()
    assert kept.order("b", rounds=3).result == "ordered"
    return kept


@pytest.mark.parametrize("kind", [wire.OPEN, wire.TRAIN, wire.FINETUNE, wire.ACCEPT, wire.COMMIT])
def test_reply_that_is_lost_changes_nothing_that_was_decided(
    sites: QuickFederation, kind: str
) -> None:
    sites.fault = lost(kind, reply_only=True)
    sites.perform("a")
    sites.fault = pass_on
    sites.complete()


def test_every_message_may_come_twice(sites: QuickFederation) -> None:
    def twice(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        deliver(message)
        return deliver(message)

    sites.fault = twice
    sites.run_to(3)
    sites.complete(3)
    assert all(record.attempt == 0 for record in sites.records("a"))


@pytest.mark.parametrize("terms", [1, 2, 3])
def test_late_message_of_an_old_attempt_or_term_changes_nothing(
    sites: QuickFederation, terms: int
) -> None:
    late: list[tuple[str, str, Message, Deliver]] = []

    def kept_too(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        late.append((server, site, message, deliver))
        return None if kind_of(message) == wire.ACCEPT and server == "a" else deliver(message)

    sites.fault = kept_too
    assert sites.perform("a").result == "failed"
    sites.fault = pass_on
    sites.perform("b", attempt=1)
    sites.run_to(terms)
    before = {vendor: content_of(sites.site(vendor)) for vendor in NAMES}
    trained = sites.trained.copy()
    for _, site, message, deliver in late:
        assert reply_to(deliver(message)).grant is None
        assert content_of(sites.site(site)) == before[site], kind_of(message)
    assert sites.trained == trained


def reply_to(message: Message | None) -> wire.Reply:
    assert message is not None
    return wire.unpack(message, wire.Reply)


def test_minority_commits_nothing_and_catches_up_afterwards(sites: QuickFederation) -> None:
    sites.fault = split("a", "bc")
    assert sites.perform("a").code == FederationStopped.NO_QUORUM
    assert sites.perform("b", attempt=1).result == "committed"
    assert [sites.head(vendor) for vendor in NAMES] == [0, 1, 1]
    sites.fault = pass_on
    server = sites.records("b")[0].ranking[0]
    assert sites.perform(server, attempt=0).result == "committed"
    assert [sites.head(vendor) for vendor in NAMES] == [2, 2, 2]
    sites.complete()


def test_partition_in_the_middle_of_the_votes_leaves_one_record(sites: QuickFederation) -> None:
    sites.fault = lost(wire.ACCEPT, to=("b", "c"))
    sites.perform("a")
    sites.fault = split("a", "bc")
    sites.perform("b", attempt=1)
    sites.fault = pass_on
    assert sites.perform("a", attempt=0).result == "caught-up"
    assert sites.records("a") == sites.records("b")
    sites.complete()


def test_server_that_is_behind_catches_up_and_does_not_serve(sites: QuickFederation) -> None:
    sites.down = {"a"}
    sites.run_to(2)
    sites.down = set()
    outcome = sites.perform("a", attempt=0)
    assert outcome.result == "caught-up"
    assert sites.committed("a") == sites.committed("b")
    assert sites.records("a")[-1].model in sites.site("a").models
    sites.complete(3)


def test_server_that_is_behind_and_cannot_be_helped_fails_and_changes_nothing(
    sites: QuickFederation,
) -> None:
    sites.down = {"a"}
    sites.run_to(1)
    sites.down = set()
    for kind in (wire.RECORDS, wire.MODEL, wire.COMMIT):
        sites.fault = lost(kind)
        assert sites.perform("a", attempt=0).code == FederationStopped.NOT_HANDED_ON
        assert sites.head("a") == 0
    sites.fault = pass_on
    sites.complete()
