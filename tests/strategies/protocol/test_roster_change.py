"""Members join and leave between terms: by a majority's approval, in a committed record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flwr.app import Message

from deploy.membership.roster import approve, describe_roster, take_up_edition, withdraw
from deploy.site.verification import verify_site
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.results.summary import summarise
from srflm_flower.run.memory_grid import Deliver
from srflm_flower.site.edition_standing import approval_of, keep_approval
from strategies.errors import (
    ConfigurationError,
    DeploymentError,
    FederationStopped,
    LedgerError,
    MessageRefused,
    SrflmError,
)
from strategies.protocol import messages as wire
from strategies.protocol.records import Approval, Edition, RosterChange
from strategies.protocol.roster_change import Editions, agreed_change, check_change, sign_approval
from strategies.protocol.signatures import sign_proposal
from strategies.term.conversation import request
from tests.support.changing import ChangingFederation, changing_federation
from tests.support.deployed import pass_on
from tests.support.faults import Crash
from tests.support.quick_sites import keep_accepts, kind_of, lost


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChangingFederation]:
    with changing_federation(tmp_path_factory.mktemp("changing")) as sites:
        yield sites


@pytest.fixture
def sites(made: ChangingFederation) -> ChangingFederation:
    """Return a, b, and c at the beginning of a long run."""
    made.clear()
    assert made.order("b", rounds=20).result == "ordered"
    return made


def with_d(sites: ChangingFederation) -> Federation:
    return sites.edition(sites.first, "a", "b", "c", "d")


def without_c(sites: ChangingFederation) -> Federation:
    return sites.edition(sites.first, "a", "b")


def joined(sites: ChangingFederation) -> Federation:
    """Let d join after term 1; return the second edition."""
    sites.settle(1)
    new = with_d(sites)
    sites.approve(new, "a", "b")
    sites.approve(new, "c")
    sites.settle(2)
    sites.join("d", new)
    sites.settle(3)
    return new


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


# ---- between commit and switch -------------------------------------------------------------------


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
    assert (outcome.result, outcome.code) == ("failed", FederationStopped.NO_MAJORITY)
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


# ---- what is refused -----------------------------------------------------------------------------


def proposal_of(sites: ChangingFederation, change: RosterChange | None) -> wire.Accept:
    """Return the proposal of term 2 with this change, signed by its server."""
    asked: list[wire.Accept] = []
    sites.fault = keep_accepts(asked)
    server = sites.records("a")[0].ranking[0]
    sites.perform(server, attempt=0)
    sites.fault = pass_on
    record = asked[0].proposal.record
    ranking = record.ranking
    if change is not None:
        ranking = change.edition.roster
    altered = record.model_copy(update={"roster_change": change, "ranking": ranking})
    proposal = sign_proposal(altered, sites.site(server).keys)
    return asked[0].model_copy(update={"proposal": proposal})


def approvals(sites: ChangingFederation, new: Federation, *vendors: str) -> dict[str, str]:
    return {
        vendor: sign_approval(
            vendor, sites.first.hash, new.as_edition, sites.site(vendor).keys
        ).signature
        for vendor in vendors
    }


@pytest.mark.parametrize(
    "by",
    [{}, {"a": "a"}, {"a": "a", "b": "a"}, {"a": "a", "d": "d"}],
    ids=["none", "a minority", "forged", "a newcomer"],
)
def test_record_whose_change_no_majority_has_approved_is_refused(
    sites: ChangingFederation, by: dict[str, str]
) -> None:
    sites.settle(1)
    new = with_d(sites)
    if "d" in by:
        sites.join("d", new)
        sites.roster = ("a", "b", "c")
    signed = {name: approvals(sites, new, signer)[signer] for name, signer in by.items()}
    change = RosterChange(edition=new.as_edition, approvals=signed)
    accept = proposal_of(sites, change)
    for vendor in ("a", "b", "c"):
        with pytest.raises(MessageRefused) as caught:
            sites.site(vendor).answer(
                request(accept, wire.ACCEPT, 1), accept.proposal.record.server
            )
        assert caught.value.code == MessageRefused.SIGNATURE
        assert sites.site(vendor).state.ledger.accepted(2) is None


def test_change_whose_ranking_is_not_of_the_new_roster_is_refused(
    sites: ChangingFederation,
) -> None:
    sites.settle(1)
    new = with_d(sites)
    change = RosterChange(edition=new.as_edition, approvals=approvals(sites, new, "a", "b"))
    accept = proposal_of(sites, change)
    record = accept.proposal.record.model_copy(update={"ranking": ("a", "b", "c")})
    proposal = sign_proposal(record, sites.site(record.server).keys)
    accept = accept.model_copy(update={"proposal": proposal})
    with pytest.raises(MessageRefused) as caught:
        sites.site("c").answer(request(accept, wire.ACCEPT, 1), record.server)
    assert caught.value.code == MessageRefused.MALFORMED


def test_rule_counts_only_valid_approvals_of_the_roster(sites: ChangingFederation) -> None:
    old, new, keys = sites.first.as_edition, with_d(sites).as_edition, sites.site("a").keys
    good = [sign_approval(vendor, old.federation, new, sites.site(vendor).keys) for vendor in "abc"]
    change = agreed_change(good[:2], old, keys)
    assert change is not None and set(change.approvals) == {"a", "b"}
    check_change(change, old, keys)

    def altered(**changes: object) -> list[Approval]:
        return [good[0], good[1].model_copy(update=changes)]

    assert agreed_change(good[:1] * 3, old, keys) is None, "one vendor counts once"
    assert agreed_change(altered(vendor="c"), old, keys) is None
    assert agreed_change(altered(previous="0" * 64), old, keys) is None
    assert agreed_change(altered(signature=good[0].signature), old, keys) is None
    swapped = new.model_copy(update={"keys": new.keys[::-1]})
    assert agreed_change(altered(edition=swapped), old, keys) is None


def test_editions_of_a_chain() -> None:
    first, second, third = (
        Edition(federation=name * 64, roster=("a", name)) for name in ("1", "2", "3")
    )
    editions = Editions(first, ((4, second), (9, third)))
    assert [editions.at(term) for term in (1, 4, 5, 9, 10)] == [
        first, first, second, second, third,
    ]  # fmt: skip
    assert (editions.last, editions.last_change, Editions(first).last_change) == (third, 9, 0)
    assert editions.find("2" * 64) == second and editions.find("4" * 64) is None


# ---- files that are not the next edition -------------------------------------------------------


def test_file_that_changes_more_than_the_roster_is_refused(
    sites: ChangingFederation,
) -> None:
    new, old = with_d(sites), sites.first
    wrong: dict[str, Federation] = {
        "task": with_changes(new, task__metric="auc"),
        "model": with_changes(new, model__norm="group"),
        "training": with_changes(new, training__decay=0.5),
        "seed": with_changes(new, seed=1),
        "previous": with_changes(new, previous="0" * 64),
        "edition": with_changes(new, edition=3),
        "\\[first\\]": with_changes(new, first=with_d(sites).as_edition.model_dump()),
        "vendors.c.number": with_changes(
            new, vendors=[m.model_dump() | {"number": 9 - n} for n, m in enumerate(new.vendors)]
        ),
        "vendors: found the roster": with_changes(
            sites.edition(old, "a", "b", "c"),
            vendors=[member.model_dump() for member in old.vendors],
        ),
    }
    site = sites.site("a")
    for found, federation in wrong.items():
        with pytest.raises(ConfigurationError, match=found):
            approve(site, sites.write(federation))
    assert approval_of(site.state.ledger) is None
    assert not list(sites.folders["a"].glob("federation.*.toml"))
    assert approve(site, sites.write(with_changes(new, aggregation__min_clients=2))).joins == ("d",)


def test_file_that_leaves_one_vendor_is_refused(sites: ChangingFederation) -> None:
    with pytest.raises(SrflmError, match="expected at least two"):
        sites.edition(sites.first, "a")


def test_second_edition_with_the_same_number_needs_the_first_withdrawn(
    sites: ChangingFederation,
) -> None:
    sites.approve(with_d(sites), "a")
    with pytest.raises(ConfigurationError, match="a second edition 2"):
        sites.approve(without_c(sites), "a")
    withdraw(sites.site("a"))
    sites.approve(without_c(sites), "a")


def test_keys_of_another_site_are_refused(sites: ChangingFederation, tmp_path: Path) -> None:
    new = with_d(sites)
    members = [member.model_dump() for member in new.vendors]
    members[0]["signing_key"] = "0" * 64
    with pytest.raises(ConfigurationError, match="keys of a in the new edition"):
        sites.approve(with_changes(new, vendors=members), "a")


def test_ledger_of_the_federation_is_that_of_its_first_edition(
    sites: ChangingFederation,
) -> None:
    new = with_d(sites)
    sites.settle(1)
    alien = with_changes(new, first=new.as_edition.model_dump(), previous=new.hash)
    (sites.folders["b"] / "federation.toml").write_text(alien.to_toml())
    sites._kept.pop("b", None)
    with pytest.raises(LedgerError, match="another federation"):
        sites.head("b")
