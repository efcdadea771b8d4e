"""Missed terms travel in pages, so that a site can catch up however long it was away."""

from __future__ import annotations

import pytest
from flwr.app import Message

from srflm_flower.run.memory_grid import Deliver
from srflm_flower.site import ledger
from strategies.protocol import messages as wire
from tests.support.deployed import SiteFault, pass_on
from tests.support.quick_sites import QuickFederation, kind_of

NAMES = ("a", "b", "c")
TERMS = 6


@pytest.fixture
def sites(kept: QuickFederation, monkeypatch: pytest.MonkeyPatch) -> QuickFederation:
    """Return three sites of which ``c`` has missed six terms; two records fit into a page."""
    kept.clear()
    kept.order("b", rounds=TERMS + 2)
    kept.down = {"c"}
    kept.run_to(TERMS)
    size = len(kept.committed("a")[1].model_dump_json())
    monkeypatch.setattr(ledger, "PAGE_BYTES", int(2.7 * size))
    kept.down = set()
    return kept


def listening(pages: list[int], to: str, most: int = 99) -> SiteFault:
    """Note how many records come to a site with each commit; lose all after the first ``most``."""

    def fault(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if kind_of(message) == wire.COMMIT and site == to:
            if len(pages) == most:
                return None
            commit = wire.unpack(message, wire.Commit)
            if not wire.has_models(message):
                pages.append(len(commit.records))
        return deliver(message)

    return fault


def test_site_that_asks_gets_the_terms_in_pages(sites: QuickFederation) -> None:
    pages: list[int] = []
    sites.fault = listening(pages, "c")
    assert sites.perform("c", kind="sync").result == "synced"
    assert (pages, sites.head("c")) == ([2, 2], TERMS), "the last page comes with its model"
    sites.agree()


def test_server_brings_a_site_up_to_date_in_pages(sites: QuickFederation) -> None:
    pages: list[int] = []
    sites.fault = listening(pages, "c")
    server = sites.turn()
    assert server != "c"
    assert pages[:3] == [2, 2, 2]
    sites.complete(TERMS + 2)


@pytest.mark.parametrize("mended_by", ["sync", "serve", "turn"])
def test_site_that_got_one_page_only_goes_on_from_there(
    sites: QuickFederation, mended_by: str
) -> None:
    sites.fault = listening([], "c", most=1)
    assert sites.perform("c", kind="sync").result == "failed"
    head = sites.site("c").state.ledger.last()
    assert head is not None and head.term == 2
    assert head.model not in sites.site("c").models
    sites.fault = pass_on
    if mended_by == "turn":
        sites.turn()
    elif mended_by == "sync":
        assert sites.perform("c", kind="sync").result == "synced"
    else:
        attempt = head.ranking.index("c")
        assert sites.perform("c", attempt=attempt).result == "caught-up"
    sites.complete(TERMS + 2)


def test_head_whose_model_is_missing_is_mended(sites: QuickFederation) -> None:
    assert sites.perform("c", kind="sync").result == "synced"
    site = sites.site("c")
    site.models.keep_only(())
    assert sites.perform("c", kind="sync").result == "synced"
    sites.complete(TERMS + 2)
