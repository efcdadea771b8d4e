"""Members join and leave between terms: by a majority's approval, in a committed record."""

from __future__ import annotations

import pytest

from deploy.membership.roster import approve, describe_roster, take_up_edition, withdraw
from deploy.site.verification import verify_site
from srflm_flower.results.summary import summarise
from srflm_flower.site.edition_standing import approval_of
from strategies.errors import DeploymentError, MessageRefused
from strategies.protocol import messages as wire
from strategies.term.conversation import request
from tests.support.changing import ChangingFederation, joined, with_d, without_c


def roster_at(sites: ChangingFederation, vendor: str) -> tuple[str, ...]:
    return sites.site(vendor).site.participant.standing().editions.last.roster


# ---- joining -----------------------------------------------------------------------------------


def test_newcomer_joins_catches_up_and_serves(sites: ChangingFederation) -> None:
    new = joined(sites)
    change = sites.records("a")[1].roster_change
    assert change is not None and change.edition == new.as_edition
    assert set(change.approvals) == {"a", "b", "c"}
    assert sites.records("a")[1].ranking[-1] == "d", "newcomers stand at the end"
    sites.settle(9)
    sites.agree()
    records = sites.records("d")
    assert {record.federation for record in records[:2]} == {sites.first.hash}
    assert {record.federation for record in records[2:]} == {new.hash}
    assert "d" in {record.server for record in records}
    assert all("d" in record.ballots for record in records[3:])
    summary = summarise(new, sites.records("a"), 0.0, {}, {}, ("", ""))
    assert summary.vendors["d"].terms_missed == (), "the terms before it joined do not count"
    found = {vendor: verify_site(sites.site(vendor)) for vendor in sites.roster}
    assert found["d"].changes == (2,) and found["d"].hashes == found["a"].hashes


def test_server_that_waits_for_a_change_asks_although_it_knows_where_everybody_is(
    sites: ChangingFederation,
) -> None:
    sites.settle(1)
    server, *others = sites.records("a")[0].ranking
    nodes = {vendor: number for number, vendor in enumerate(sites.roster, 1)}
    sites.approve(with_d(sites), *others)
    assert sites.perform(server, attempt=0, nodes=nodes).result == "committed"
    assert sites.records(server)[1].roster_change is None, "it has not asked"
    server = sites.records("a")[1].ranking[0]
    assert server in others
    assert sites.perform(server, attempt=0, nodes=nodes).result == "committed"
    assert sites.records(server)[2].roster_change is not None


def test_minority_of_approvals_changes_nothing(sites: ChangingFederation) -> None:
    sites.settle(1)
    sites.approve(with_d(sites), "a")
    sites.settle(4)
    assert all(record.roster_change is None for record in sites.records("b"))
    assert roster_at(sites, "a") == ("a", "b", "c")


def test_approvals_of_two_editions_do_not_add_up(sites: ChangingFederation) -> None:
    sites.settle(1)
    sites.approve(with_d(sites), "a")
    sites.approve(without_c(sites), "b")
    sites.settle(3)
    assert all(record.roster_change is None for record in sites.records("b"))


def test_withdrawn_approval_does_not_count(sites: ChangingFederation) -> None:
    sites.settle(1)
    sites.approve(with_d(sites), "a", "b")
    assert withdraw(sites.site("a"))
    sites.settle(3)
    assert all(record.roster_change is None for record in sites.records("b"))
    assert not withdraw(sites.site("a"))


def test_site_without_the_new_file_follows_and_takes_part_once_it_has_it(
    sites: ChangingFederation,
) -> None:
    sites.settle(1)
    new = with_d(sites)
    sites.approve(new, "a", "b")
    sites.run_to(2)
    sites.join("d", new)
    sites.switch()
    assert (sites.place("a"), sites.place("c")) == ("member", "between")
    assert sites.perform("c", attempt=0).result == "failed"
    described = describe_roster(sites.site("c"))
    assert described == "a, b, c, d since term 2; give this site the new federation file"
    sites.down = {"c"}
    sites.settle(4)
    sites.down = set()
    assert "c" not in sites.records("a")[3].ballots
    changes = approve(sites.site("c"), sites.write(new))
    assert changes.joins == ("d",)
    assert approval_of(sites.site("c").state.ledger) is None, "it has been decided"
    sites.settle(6)
    sites.agree()
    assert "c" in sites.records("a")[-1].ballots


def test_site_that_missed_the_change_learns_it_from_the_others(sites: ChangingFederation) -> None:
    sites.settle(1)
    new = with_d(sites)
    sites.approve(new, "a", "b", "c")
    sites.down = {"c"}
    sites.run_to(2)
    sites.join("d", new)
    sites.settle(5)
    sites.down = set()
    assert (sites.head("c"), sites.place("c")) == (1, "member"), "of the first edition"
    sites.settle(7)
    sites.agree()
    assert sites.site("c").federation.hash == new.hash
    assert verify_site(sites.site("c")).changes == (2,)


# ---- leaving -----------------------------------------------------------------------------------


def test_member_leaves_and_the_others_go_on(sites: ChangingFederation) -> None:
    sites.settle(1)
    new = without_c(sites)
    sites.approve(new, "a", "c")
    sites.approve(new, "b")
    sites.settle(6)
    assert sites.roster == ("a", "b")
    record = sites.records("a")[1]
    assert sorted(record.ranking) == ["a", "b"]
    assert "c" in record.ballots, "the old roster decides the term of the change"
    assert sites.place("c") == "left" and sites.head("c") == 2
    with pytest.raises(DeploymentError) as caught:
        take_up_edition(sites.site("c"))
    assert caught.value.code == DeploymentError.LEFT
    assert "no longer a member since term 2" in caught.value.found
    assert describe_roster(sites.site("c")) == "no longer a member since term 2"
    sites.agree()
    assert sites.perform("c", attempt=0).result == "failed"


def test_former_member_gets_no_models_any_more(sites: ChangingFederation) -> None:
    sites.settle(1)
    sites.approve(without_c(sites), "a", "b", "c")
    sites.settle(4)
    site = sites.site("a")
    for federation in (sites.first.hash, site.federation.hash):
        envelope = wire.Envelope(federation=federation, term=3, attempt=0, server="c")
        wanted = wire.FetchModel(envelope=envelope, model=sites.records("a")[-1].model)
        with pytest.raises(MessageRefused) as caught:
            site.answer(request(wanted, wire.MODEL, 1), "c")
        assert caught.value.code == MessageRefused.SERVER


def test_join_and_leave_one_after_the_other(sites: ChangingFederation) -> None:
    second = joined(sites)
    third = sites.edition(second, "b", "c", "d")
    assert third.edition == 3 and third.first == sites.first.as_edition
    assert [member.number for member in third.vendors] == [1, 2, 3]
    sites.approve(third, "b", "c", "d")
    sites.settle(8)
    assert sites.roster == ("b", "c", "d")
    changes = verify_site(sites.site("d")).changes
    assert len(changes) == 2
    sites.agree()
    fourth = sites.edition(third, "b", "c", "d", "e")
    assert fourth.vendors[-1].number == 4
    sites.approve(fourth, "b", "c", "d")
    head = sites.head("b")
    sites.settle(head + 1)
    sites.join("e", fourth)
    sites.settle(head + 4)
    hashes = {verify_site(sites.site(vendor)).hashes for vendor in sites.roster}
    assert len(hashes) == 1, "the newcomer verifies all three changes"
