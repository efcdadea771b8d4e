"""Roster changes that are refused: records without approvals, files that are no next edition."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.membership.roster import approve, withdraw
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.site.edition_standing import approval_of
from strategies.errors import ConfigurationError, LedgerError, MessageRefused, SrflmError
from strategies.protocol import messages as wire
from strategies.protocol.records import Approval, Edition, RosterChange
from strategies.protocol.roster_change import Editions, agreed_change, check_change, sign_approval
from strategies.protocol.signatures import sign_proposal
from strategies.term.conversation import request
from tests.support.changing import ChangingFederation, with_d, without_c
from tests.support.deployed import pass_on
from tests.support.quick_sites import keep_accepts


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
    with pytest.raises(ConfigurationError, match="keys of a that are not this site's: signing-key"):
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
