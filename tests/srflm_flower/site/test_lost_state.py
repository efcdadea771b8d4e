"""A site that has lost its state, or has an older copy of it, breaks no promise that it forgot."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flwr.app import Message, RecordDict

from srflm_flower.run.memory_grid import Deliver
from srflm_flower.site.ledger import TermLedger
from strategies.errors import FederationStopped, MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.quorum import own_attempt
from tests.support.deployed import SiteFault, pass_on
from tests.support.quick_sites import QuickFederation, kind_of, quick_federation


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFederation]:
    with quick_federation(tmp_path_factory.mktemp("three"), ("a", "b", "c")) as federation:
        yield federation


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFederation]:
    with quick_federation(tmp_path_factory.mktemp("five"), tuple("abcde")) as federation:
        yield federation


def ordered(sites: QuickFederation) -> QuickFederation:
    """Return the sites as at the beginning of a run; ``a`` is elected for term 1."""
    sites.clear()
    assert sites.order("b", rounds=9).result == "ordered"
    return sites


def forgetful(sites: QuickFederation, vendor: str) -> bool:
    """Return whether the site refuses to vote in the term that is open to it."""
    ledger = sites.site(vendor).state.ledger
    return ledger.votes(len(ledger) + 1).forgetful


def only(group: str, untold: bool = False) -> SiteFault:
    """Let nobody but ``group`` hear; ``untold``, not even they hear what is committed."""

    def fault(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        heard = site in group and not (untold and kind_of(message) == wire.COMMIT)
        return deliver(message) if heard else None

    return fault


def serve(
    sites: QuickFederation, vendor: str, group: str, at_least: int = 0, untold: bool = False
) -> str:
    """Let ``vendor`` serve its next term while only ``group`` hears; return what came of it.

    Left ``untold``, the others do not learn what is committed.
    """
    ranking = sites.site(vendor).site.participant.view().ranking
    sites.fault = only(group, untold)
    outcome = sites.perform(vendor, attempt=own_attempt(vendor, ranking, at_least))
    sites.fault = pass_on
    return outcome.result


def test_site_that_only_restarts_forgets_nothing(three: QuickFederation) -> None:
    sites = ordered(three)
    for vendor in sites.roster:
        sites.restart(vendor)
        assert not forgetful(sites, vendor)


def test_site_that_lost_its_state_does_not_vote_in_the_open_term(three: QuickFederation) -> None:
    sites = ordered(three)

    def accepted_by_a_and_c(
        server: str, site: str, message: Message, deliver: Deliver
    ) -> Message | None:
        unheard = {wire.ACCEPT: "b", wire.COMMIT: "bc"}.get(kind_of(message), "")
        return None if site in unheard else deliver(message)

    sites.fault = accepted_by_a_and_c
    assert sites.perform("a").result == "committed"
    sites.lose_disk("c")
    assert forgetful(sites, "c")
    assert serve(sites, "b", "bc") == "failed"
    assert [sites.head(vendor) for vendor in "bc"] == [0, 0]
    assert sites.records("a")[0].server == "a"
    sites.run_to(2)
    sites.agree()


def test_site_that_lost_its_state_catches_up_and_votes_again_later(three: QuickFederation) -> None:
    sites = ordered(three)
    sites.run_to(1)
    sites.lose_disk("c")
    sites.run_to(3)
    sites.agree()
    voted = [set(each.certificate.acceptances) for each in sites.committed("a")[:3]]
    assert voted == [{"a", "b", "c"}, {"a", "b"}, {"a", "b", "c"}]
    assert not forgetful(sites, "c")
    sites.down = {"a"}
    sites.run_to(4)
    sites.down = set()
    sites.run_to(5)
    sites.agree()


def test_site_restored_from_an_older_copy_is_forgetful_too(
    three: QuickFederation, tmp_path: Path
) -> None:
    sites = ordered(three)
    sites.run_to(1)
    sites.disconnect()
    shutil.copytree(sites.folders["c"] / "state", tmp_path / "copy")
    sites.restart("c")
    sites.run_to(2)
    sites.lose_disk("c", copy=tmp_path / "copy")
    assert sites.head("c") == 1
    assert forgetful(sites, "c")
    sites.run_to(4)
    sites.agree()
    assert "c" not in sites.committed("a")[2].certificate.acceptances


def test_server_that_lost_its_state_does_not_propose_a_second_record(
    five: QuickFederation,
) -> None:
    """Else attempt 0 has two records, and a stand-in cannot tell which one was committed."""
    sites = ordered(five)

    def told_to_c_only(
        server: str, site: str, message: Message, deliver: Deliver
    ) -> Message | None:
        unheard = {wire.ACCEPT: "de", wire.COMMIT: "abde"}.get(kind_of(message), "")
        return None if site in unheard else deliver(message)

    sites.fault = told_to_c_only
    assert sites.perform("a").result == "committed"
    sites.lose_disk("a")
    (first,) = sites.records("c")
    assert serve(sites, "a", "abde") == "outvoted"
    assert sites.outcomes[-1][1].code == MessageRefused.NO_VOTE
    for vendor in "de":
        assert sites.site(vendor).state.ledger.accepted(1) is None
    serve(sites, "b", "bde", at_least=1)
    sites.run_to(2)
    sites.agree()
    assert sites.records("d")[0] == first


def test_late_acceptance_request_does_not_end_forgetfulness_too_early(
    three: QuickFederation,
) -> None:
    """A request from before the loss says nothing of the term that was open at the loss."""
    sites = ordered(three)
    late: list[Callable[[], object]] = []

    def one_comes_late(
        server: str, site: str, message: Message, deliver: Deliver
    ) -> Message | None:
        if kind_of(message) == wire.ACCEPT and site == "c":
            late.append(lambda: deliver(message))
            return None
        return deliver(message)

    sites.fault = one_comes_late
    assert sites.perform("a").result == "committed"
    sites.fault = pass_on
    sites.run_to(2)
    sites.down = {"a"}
    assert serve(sites, "b", "bc", untold=True) == "committed", "c knows only that it accepted"
    sites.lose_disk("c")
    late[0]()
    sites.down = {"b"}
    for _ in range(6):
        sites.turn()
    sites.agree()


def test_server_far_behind_does_not_end_forgetfulness_too_early(five: QuickFederation) -> None:
    """``a`` was elected for term 1 and slept: its majority a, c, e has not heard of term 3."""
    sites = ordered(five)
    assert serve(sites, "b", "bcd", at_least=1) == "committed"
    assert serve(sites, "b", "bcd") == "committed"
    assert serve(sites, "b", "bcd", untold=True) == "committed", "c and d know that they accepted"
    sites.lose_disk("c")
    assert serve(sites, "a", "ace") == "failed", "c has heard of term 1 only"
    assert serve(sites, "a", "ad") == "caught-up"
    assert serve(sites, "a", "ace") == "failed"
    sites.agree()


def test_site_that_lost_its_state_asks_a_majority_of_the_others(five: QuickFederation) -> None:
    sites = ordered(five)
    assert serve(sites, "b", "bcd", at_least=1) == "committed"
    assert serve(sites, "b", "bcd", untold=True) == "committed"
    ledger = sites.lose_disk("c").state.ledger
    for group in ("ace", "cbd"):
        sites.fault = only(group)
        assert sites.perform("c", kind="sync").code == FederationStopped.NO_QUORUM
        assert ledger.is_forgetful()
    sites.fault = only("acde")
    assert sites.perform("c", kind="sync").result == "synced"
    assert [ledger.votes(term).forgetful for term in (2, 3, 4)] == [True, True, False]
    assert sites.head("c") == 2, "it has caught up with b, though too few others remember"
    sites.fault = pass_on
    sites.run_to(4)
    sites.agree()


def test_others_that_have_forgotten_too_cannot_help(three: QuickFederation) -> None:
    sites = ordered(three)
    sites.run_to(1)
    for vendor in "bc":
        sites.lose_disk(vendor)
    for vendor in "bc":
        outcome = sites.perform(vendor, kind="sync")
        assert outcome.code == FederationStopped.NO_QUORUM
        assert forgetful(sites, vendor)


def test_operator_makes_a_site_forgetful_that_was_restored_as_a_whole(
    three: QuickFederation,
) -> None:
    """``srflm up --restored``: here nothing but the operator's word tells of a copy."""
    sites = ordered(three)
    sites.run_to(1)
    sites.start_site("c", restored=True)
    assert sites.site("c").state.ledger.is_forgetful()
    sites.run_to(4)
    sites.agree()
    assert not forgetful(sites, "c")


def test_start_that_was_broken_off_between_its_two_writes_has_forgotten_nothing(
    three: QuickFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two such starts would end a federation of two, though no vote is lost."""
    sites = ordered(three)
    sites.run_to(1)

    def killed(*start: object, **facts: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TermLedger, "begin", killed)
        with pytest.raises(KeyboardInterrupt):
            sites.start_site("c")
    sites.restart("c")
    assert not forgetful(sites, "c")
    (sites.folders["c"] / "identity" / "starts").write_text("99")
    sites.start_site("c")
    assert sites.site("c").state.ledger.is_forgetful()


def test_another_time_zone_is_no_copy(
    three: QuickFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = ordered(three)
    for zone in ("Asia/Tokyo", "America/Lima"):
        monkeypatch.setenv("TZ", zone)
        sites.start_site("c")
        assert not sites.site("c").state.ledger.is_forgetful()


def test_term_that_no_records_lead_to_does_not_silence_a_site(five: QuickFederation) -> None:
    """A member that lies about its term can keep nobody from voting or serving."""
    sites = ordered(five)
    sites.run_to(1)

    def far_ahead(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        reply = deliver(message)
        if kind_of(message) != wire.VOTES or site != "e" or reply is None or server == "e":
            return reply
        told = wire.unpack(reply, wire.Reply)
        assert told.votes is not None
        lie = told.votes.model_copy(update={"term": 10**6})
        content = {**reply.content, **wire.pack(told.model_copy(update={"votes": lie}))}
        return Message(RecordDict(content), reply_to=message)

    sites.lose_disk("c")
    sites.fault = far_ahead
    assert sites.ask_others("c").result == "synced"
    ledger = sites.site("c").state.ledger
    assert int(ledger.fact("forgetful-through") or 0) <= 3
    sites.restart("b")
    assert sites.outcomes[-1][1].result == "synced"
    sites.fault = pass_on
    sites.run_to(4)
    sites.agree()
