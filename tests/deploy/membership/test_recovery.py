"""A majority is lost for good: the members that remain go on from a record that all name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.membership.recovery import RecoveryFile, apply_file, propose, read_recovery, sign
from deploy.membership.roster import describe_roster
from deploy.site.site_on_disk import site_on_disk
from deploy.site.verification import verify_site
from strategies.errors import ConfigurationError, DeploymentError, LedgerError, MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.records import Recovery
from strategies.protocol.recovery import can_both_hold, sign_recovery
from strategies.term.conversation import request
from tests.support.changing import ChangingFederation, changing_federation

FOUR = ("a", "b", "c", "d")


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[ChangingFederation]:
    """Four sites with two committed terms."""
    with changing_federation(tmp_path, FOUR) as sites:
        sites.order("b", rounds=9)
        sites.settle(2)
        yield sites


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "recovery.json"


def head_of(sites: ChangingFederation, vendor: str) -> str:
    head = sites.records(vendor)[-1]
    return f"{head.term}:{head.hash}"


def begin(sites: ChangingFederation, file: Path, by: str = "a", lost: str = "cd") -> None:
    propose(sites.site(by), file, head_of(sites, by), [*lost], None, ["a", "b"])


def recover(sites: ChangingFederation, file: Path) -> None:
    """Let a and b go on without c and d."""
    begin(sites, file)
    sign(sites.site("b"), file, ["a", "b"])
    sites.down = {"c", "d"}
    for vendor in ("a", "b"):
        apply_file(sites.site(vendor), file)
        sites.restart(vendor)


def test_remaining_members_go_on_and_verify_says_so(sites: ChangingFederation, file: Path) -> None:
    before = sites.records("a")
    recover(sites, file)
    sites.roster = ("a", "b")
    sites.settle(4)
    sites.agree()
    assert sites.records("a")[:2] == before
    assert sites.records("a")[2].ranking in (("a", "b"), ("b", "a"))
    for vendor in ("a", "b"):
        found = verify_site(sites.site(vendor))
        assert [each.term for each in found.recovered] == [2]
        assert set(found.recovered[0].signatures) == {"a", "b"}
    told = CliRunner().invoke(app, ["verify", str(sites.folders["a"])])
    assert "recovered after term 2, when the quorum was lost; signed by a, b" in told.output


def test_verify_says_so_before_the_first_term(sites: ChangingFederation, file: Path) -> None:
    recover(sites, file)
    assert [each.term for each in verify_site(sites.site("a")).recovered] == [2]


def test_newcomer_verifies_the_recovered_ledger_from_the_first_edition(
    sites: ChangingFederation, file: Path
) -> None:
    recover(sites, file)
    sites.roster = ("a", "b")
    sites.settle(3)
    new = sites.edition(sites.site("a").federation, "a", "b", "e")
    sites.approve(new, "a", "b")
    sites.join("e", new)
    sites.settle(6)
    found = verify_site(sites.site("e"))
    assert ([each.term for each in found.recovered], len(found.changes)) == ([2], 1)


def test_all_go_on_when_half_of_them_have_lost_their_votes(
    sites: ChangingFederation, file: Path
) -> None:
    """Nobody has left: two disks are gone, and forgetful sites cannot help each other."""
    for vendor in ("c", "d"):
        sites.lose_disk(vendor)
    for vendor in ("c", "d"):
        sites.ask_others(vendor)
    assert sites.perform(sites.records("a")[-1].ranking[0], attempt=0).result != "committed"
    begin(sites, file, lost="")
    for vendor in ("b", "c", "d"):
        sign(sites.site(vendor), file, ["a", "b"])
    for vendor in FOUR:
        apply_file(sites.site(vendor), file)
        sites.restart(vendor)
    sites.settle(4)
    sites.agree()


def test_refused_while_a_majority_can_vote(sites: ChangingFederation, file: Path) -> None:
    with pytest.raises(DeploymentError, match="a quorum that can vote") as caught:
        propose(sites.site("a"), file, head_of(sites, "a"), ["d"], None, ["a", "b", "c"])
    assert caught.value.code == DeploymentError.NOT_LOST
    assert not file.exists()


def test_sites_tell_who_could_vote(sites: ChangingFederation) -> None:
    sites.down = {"d"}
    sites.lose_disk("c")
    told = sites.perform("a", kind="ask")
    assert (told.answered, told.able) == (("a", "b", "c"), ("a", "b"))


def test_head_must_be_the_signers_own(sites: ChangingFederation, file: Path) -> None:
    """An older one would drop a record that the site has."""
    older = sites.records("a")[0]
    for head in (f"1:{older.hash}", f"2:{'0' * 64}", f"3:{'0' * 64}"):
        with pytest.raises(LedgerError, match="from this site's head, 2:"):
            propose(sites.site("a"), file, head, ["c", "d"], None, ["a", "b"])
    with pytest.raises(ConfigurationError, match="hash"):
        propose(sites.site("a"), file, "2:abc", ["c", "d"], None, ["a", "b"])
    assert not file.exists()


def test_missing_signature(sites: ChangingFederation, file: Path) -> None:
    begin(sites, file)
    with pytest.raises(MessageRefused, match="b did not sign"):
        apply_file(sites.site("a"), file)
    assert sites.place("a") == "member"


def changed(file: Path, **changes: object) -> Recovery:
    found = read_recovery(file)
    recovery = found.recovery.model_copy(update=changes)
    plain = RecoveryFile(min_clients=found.min_clients, recovery=recovery)
    file.write_text(plain.model_dump_json())
    return recovery


def test_signature_of_a_lost_member_or_a_false_one(sites: ChangingFederation, file: Path) -> None:
    begin(sites, file)
    first = read_recovery(file).recovery
    changed(file, signatures={**first.signatures, "b": "0" * 128})
    with pytest.raises(MessageRefused, match="false signatures of b"):
        apply_file(sites.site("a"), file)
    by_d = sign_recovery(first, "d", sites.site("d").keys)
    changed(file, signatures=by_d.signatures)
    with pytest.raises(MessageRefused, match="by strangers: d"):
        sign(sites.site("b"), file, ["a", "b"])


def test_signer_votes_no_more_in_the_old_roster(sites: ChangingFederation, file: Path) -> None:
    """Otherwise a lost member that comes back could commit a second record of the term."""
    begin(sites, file)
    assert sites.site("a").state.ledger.votes(3).forgetful
    sites.down = {"d"}
    for vendor in ("b", "c"):
        assert sites.perform(vendor, attempt=sites.records("a")[-1].ranking.index(vendor)).result
        assert len(sites.records("b")) == 2


def test_recovery_is_over_if_the_others_go_on(sites: ChangingFederation, file: Path) -> None:
    begin(sites, file)
    sites.settle(4)  # b, c, and d are a majority without a
    assert len(sites.records("a")) >= 4
    with pytest.raises(LedgerError, match="head"):
        sign(sites.site("b"), file, ["b"])
    assert not sites.site("a").state.ledger.votes(len(sites.records("a")) + 1).forgetful


def test_lost_member_that_comes_back_is_refused_and_told(
    sites: ChangingFederation, file: Path
) -> None:
    recover(sites, file)
    site, old = sites.site("a"), sites.site("c")
    envelope = wire.Envelope(federation=old.federation.hash, term=3, attempt=0, server="c")
    for noun, kind in (
        (wire.TellVotes(envelope=envelope), wire.VOTES),
        (wire.FetchRecords(envelope=envelope, first=1), wire.RECORDS),
    ):
        with pytest.raises(MessageRefused) as caught:
            site.answer(request(noun, kind, 1), "c")
        assert caught.value.code == MessageRefused.RECOVERED
    apply_file(old, file)
    again = sites.site("c")
    assert describe_roster(again) == "no longer a member: a, b went on without it from term 2"
    assert again.state.ledger.votes(3).forgetful


def test_lost_member_does_not_take_the_recovered_records(
    sites: ChangingFederation, file: Path
) -> None:
    """Two members alone must not be able to take the others along."""
    recover(sites, file)
    sites.roster = ("a", "b")
    sites.settle(3)
    records = sites.site("a").state.ledger.committed(3)
    envelope = wire.Envelope(
        federation=sites.site("c").federation.hash, term=3, attempt=0, server="d"
    )
    commit = request(
        wire.Commit(envelope=envelope, records=tuple(records), more=True), wire.COMMIT, 1
    )
    with pytest.raises(MessageRefused) as caught:
        sites.site("c").answer(commit, "d")
    assert caught.value.code == MessageRefused.RECOVERED
    assert len(sites.records("c")) == 2


def test_site_signs_no_recovery_that_could_hold_beside_an_earlier_one(
    sites: ChangingFederation, file: Path
) -> None:
    begin(sites, file, lost="d")
    first = read_recovery(file).recovery
    for roster, both in ((("a", "b"), False), (("a",), True)):
        later = first.model_copy(
            update={"edition": first.edition.model_copy(update={"roster": roster, "keys": ()})}
        )
        assert can_both_hold(first, later) is both
    sign(sites.site("b"), file, ["a", "b"])
    with pytest.raises(LedgerError, match="signed last"):
        second = file.with_name("second.json")
        propose(sites.site("a"), second, head_of(sites, "a"), ["c", "d"], None, ["a", "b"])
        sign(sites.site("c"), file, ["a", "b"])
        apply_file(sites.site("a"), file)  # of which c's signature was the last to come


def test_site_that_is_up_or_goes_on_already(sites: ChangingFederation, file: Path) -> None:
    recover(sites, file)
    with pytest.raises((LedgerError, ConfigurationError)):
        apply_file(site_on_disk(sites.folders["a"]), file)
