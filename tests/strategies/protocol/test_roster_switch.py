"""From the commit of a roster change to the switch: crashes, lost state, sites of both editions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flwr.app import Message

from deploy.site.verification import verify_site
from srflm_flower.run.memory_grid import Deliver
from srflm_flower.site.edition_standing import keep_approval
from strategies.errors import FederationStopped, MessageRefused
from strategies.protocol import messages as wire
from strategies.term.conversation import request
from tests.support.changing import ChangingFederation, joined, with_d
from tests.support.deployed import pass_on
from tests.support.faults import Crash
from tests.support.quick_sites import kind_of, lost


def crash_when(chosen: Callable[[Message], bool], after: bool) -> Callable[..., Message | None]:
    def fault(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if chosen(message) and not after:
            raise Crash
        reply = deliver(message)
        if chosen(message):
            raise Crash
        return reply

    return fault


@pytest.mark.parametrize("kind", [wire.ACCEPT, wire.COMMIT])
@pytest.mark.parametrize("after", [False, True])
def test_server_that_dies_in_the_term_of_the_change(
    sites: ChangingFederation, kind: str, after: bool
) -> None:
    sites.settle(1)
    new = with_d(sites)
    sites.approve(new, "a", "b", "c")
    sites.fault = crash_when(lambda message: kind_of(message) == kind, after)
    server = sites.records("a")[0].ranking[0]
    with pytest.raises(Crash):
        sites.perform(server, attempt=0)
    sites.fault = pass_on
    sites.restart(server)
    sites.join("d", new)
    sites.settle(5)
    sites.agree()
    assert verify_site(sites.site("d")).changes == (2,)


def test_site_that_dies_before_it_switches_starts_with_the_new_edition(
    sites: ChangingFederation,
) -> None:
    sites.settle(1)
    new = with_d(sites)
    sites.approve(new, "a", "b", "c")
    sites.run_to(2)
    assert sites.site("b").federation.hash == sites.first.hash
    sites.restart("b")
    assert sites.site("b").federation.hash == new.hash
    assert not list(sites.folders["b"].glob("federation.*.toml"))


def test_proposal_with_the_change_is_proposed_again_by_a_stand_in(
    sites: ChangingFederation,
) -> None:
    """The approvals are part of what was accepted: the stand-in need not hear them."""
    sites.settle(1)
    new = with_d(sites)
    sites.approve(new, "a", "b", "c")
    first, second, _ = sites.records("a")[0].ranking
    sites.fault = lost(wire.ACCEPT, reply_only=True)
    assert sites.perform(first, attempt=0).result == "failed"
    for vendor in sites.roster:
        keep_approval(sites.site(vendor).state.ledger, None)
    sites.fault = pass_on
    assert sites.perform(second, attempt=1).result == "committed"
    change = sites.records(second)[1].roster_change
    assert change is not None and change.edition.roster == ("a", "b", "c", "d")


def test_old_edition_decides_nothing_after_the_change(sites: ChangingFederation) -> None:
    new = joined(sites)
    head = sites.records("a")[-1]
    envelope = wire.Envelope(
        federation=sites.first.hash, term=head.term + 1, attempt=0, server=head.ranking[0]
    )
    opening = wire.OpenAttempt(envelope=envelope, parent=head.hash, model=head.model)
    for vendor in sites.roster:
        with pytest.raises(MessageRefused) as caught:
            sites.site(vendor).answer(request(opening, wire.OPEN, 1), envelope.server)
        assert caught.value.code == MessageRefused.FEDERATION
    assert new.hash != sites.first.hash


def test_site_that_lost_its_state_does_not_vote_before_the_change_is_known(
    sites: ChangingFederation,
) -> None:
    joined(sites)
    sites.lose_disk("b")
    sites.perform("b", kind="sync")
    ledger = sites.site("b").state.ledger
    assert not ledger.is_forgetful()
    assert len(ledger) >= 3
    sites.settle(7)
    sites.agree()


def test_majority_that_has_not_heard_of_the_change_does_not_end_forgetfulness(
    sites: ChangingFederation,
) -> None:
    """c has missed the change, d and e are empty: none knows of the term in which b voted."""
    sites.settle(1)
    new = sites.edition(sites.first, "a", "b", "c", "d", "e")
    sites.approve(new, "a", "b", "c")
    sites.down = {"c"}
    sites.run_to(2)
    sites.join("d", new)
    sites.join("e", new)
    sites.switch("a", "b")
    sites.lose_disk("b")
    sites.down = {"a"}
    outcome = sites.perform("b", kind="sync")
    assert (outcome.result, outcome.code) == ("failed", FederationStopped.NO_QUORUM)
    assert "found: 3 other vendors" in outcome.text and "knows this edition" in outcome.text
    assert sites.site("b").state.ledger.is_forgetful()
    sites.down = set()
    sites.perform("b", kind="sync")
    ledger = sites.site("b").state.ledger
    assert not ledger.is_forgetful() and len(ledger) == 2
    assert ledger.votes(3).forgetful and not ledger.votes(4).forgetful


def test_newcomer_is_no_member_before_the_change_is_committed(sites: ChangingFederation) -> None:
    sites.settle(1)
    new = with_d(sites)
    sites.approve(new, "a", "b", "c")
    envelope = wire.Envelope(federation=new.hash, term=1, attempt=0, server="d")
    model = sites.records("a")[0].model
    for wanted, kind in (
        (wire.FetchModel(envelope=envelope, model=model), wire.MODEL),
        (wire.FetchRecords(envelope=envelope, first=1), wire.RECORDS),
    ):
        with pytest.raises(MessageRefused) as caught:
            sites.site("a").answer(request(wanted, kind, 1), "d")
        assert caught.value.code == MessageRefused.SERVER
