"""A site whose whole folder is an old copy, or that runs twice, gives no vote a second time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flwr.app import Message

from srflm_flower.run.memory_grid import Deliver
from srflm_flower.site.lapses import ALL_TERMS, FORGETFUL
from strategies.errors import LedgerError, MessageRefused
from strategies.protocol import messages as wire
from strategies.protocol.quorum import own_attempt
from tests.support.deployed import SiteFault, pass_on
from tests.support.quick_sites import QuickFederation, kind_of, quick_federation


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFederation]:
    with quick_federation(tmp_path_factory.mktemp("three"), ("a", "b", "c")) as federation:
        yield federation


@pytest.fixture
def sites(three: QuickFederation) -> QuickFederation:
    """Return three sites after their first term; ``a`` is elected for the second."""
    three.clear()
    assert three.order("b", rounds=9).result == "ordered"
    three.run_to(1)
    return three


def copy_of(sites: QuickFederation, vendor: str, to: Path) -> Path:
    """Return a copy of a site's whole folder."""
    sites.disconnect()
    return Path(shutil.copytree(sites.folders[vendor], to))


def put_back(sites: QuickFederation, vendor: str, copy: Path, *names: str) -> None:
    """Put these folders of a copy in the place of the site's own, as a backup does."""
    sites.disconnect()
    sites._kept.pop(vendor, None)
    for name in names:
        shutil.rmtree(sites.folders[vendor] / name)
        shutil.copytree(copy / name, sites.folders[vendor] / name)


def roll_back(sites: QuickFederation, vendor: str, copy: Path, *names: str) -> None:
    """Put the contents of files back in place, as a snapshot of the whole disk does."""
    sites.disconnect()
    sites._kept.pop(vendor, None)
    for name in names:
        for path in filter(Path.is_file, (copy / name).iterdir()):
            (sites.folders[vendor] / name / path.name).write_bytes(path.read_bytes())


def accepted_by(*group: str) -> SiteFault:
    """Let only ``group`` hear a proposal, and nobody but the server hear of the commit."""

    def fault(server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        if kind_of(message) == wire.ACCEPT and site not in group:
            return None
        if kind_of(message) == wire.COMMIT and site != server:
            return None
        return deliver(message)

    return fault


def commit_unseen(sites: QuickFederation, other: str) -> str:
    """Let the elected server commit term 2 with ``other`` alone, and go away; return its name."""
    server = sites.site(other).site.participant.view().ranking[0]
    assert server != other
    sites.fault = accepted_by(server, other)
    assert sites.perform(server).result == "committed"
    sites.fault, sites.down = pass_on, {server}
    return server


def not_elected(sites: QuickFederation) -> tuple[str, str]:
    """Return the two vendors that are not elected for the open term."""
    ranking = sites.site("a").site.participant.view().ranking
    return ranking[1], ranking[2]


def try_to_serve(sites: QuickFederation, vendor: str) -> str:
    """Let ``vendor`` try its next turn; return what came of it."""
    ranking = sites.site(vendor).site.participant.view().ranking
    return sites.perform(vendor, attempt=own_attempt(vendor, ranking, 1)).result


def one_history(sites: QuickFederation) -> None:
    """Check that all come to the same history once everybody is back."""
    sites.down = set()
    sites.run_to(4)
    sites.agree()


def test_site_whose_snapshot_is_put_back_learns_that_it_has_voted_since(
    sites: QuickFederation, tmp_path: Path
) -> None:
    """Numbers of starts, state and all: only the others know that it has voted since."""
    other, third = not_elected(sites)
    copy = copy_of(sites, other, tmp_path / "copy")
    sites.run_to(2)
    other, third = (other, third) if sites.head(other) >= 2 else (third, other)
    roll_back(sites, other, copy, "state", "identity")
    sites.start_site(other)
    ledger = sites.site(other).state.ledger
    assert ledger.votes(len(ledger) + 1).forgetful, "it must ask before it votes"
    assert not ledger.is_forgetful()
    sites.ask_others(other)
    assert ledger.fact("forgetful-through") is not None
    one_history(sites)


@pytest.mark.parametrize("how", ["backup", "snapshot", "first-keys"])
def test_copy_does_not_commit_another_record_than_the_one_it_has_signed(
    sites: QuickFederation, tmp_path: Path, how: str
) -> None:
    """The reviewers' fork: the server and ``other`` commit, then ``other`` is put back."""
    other, third = not_elected(sites)
    copy = copy_of(sites, other, tmp_path / "copy")
    server = commit_unseen(sites, other)
    if how == "backup":
        put_back(sites, other, copy, "state", "identity")
    elif how == "snapshot":
        roll_back(sites, other, copy, "state", "identity")
    else:  # the keys from the day on which the site joined, and no state
        sites.disconnect()
        shutil.rmtree(sites.folders[other] / "state")
        (sites.folders[other] / "identity" / "starts").unlink()
    # The others cannot see that the snapshot is one: the only site that has heard is away.
    sites.start_site(other, restored=how == "snapshot")
    sites.ask_others(other)
    assert try_to_serve(sites, third) == "failed"
    assert try_to_serve(sites, other) != "committed"
    assert {sites.head(other), sites.head(third)} <= {0, 1}
    assert sites.head(server) == 2
    if how == "first-keys":
        sites.down = set()
        assert sites.ask_others(other).code == MessageRefused.SUPERSEDED
        sites.restart(other, restored=True)
    one_history(sites)


@pytest.mark.parametrize("name", ["state", "ledger.sqlite"])
def test_state_that_vanishes_under_a_running_site_is_not_made_anew(
    sites: QuickFederation, name: str
) -> None:
    other, third = not_elected(sites)
    commit_unseen(sites, other)
    state = sites.folders[other] / "state"
    sites.disconnect()
    if name == "state":
        shutil.rmtree(state)
    else:
        for path in state.glob("ledger.sqlite*"):
            path.unlink()
    assert try_to_serve(sites, third) == "failed"
    assert not (state / "ledger.sqlite").exists()
    with pytest.raises(LedgerError, match="gone"):
        len(sites.site(other).state.ledger)
    sites.start_site(other)
    one_history(sites)


def test_ledger_of_an_earlier_start_under_a_running_site_is_refused(
    sites: QuickFederation, tmp_path: Path
) -> None:
    other, third = not_elected(sites)
    copy = copy_of(sites, other, tmp_path / "copy")
    sites.restart(other)
    commit_unseen(sites, other)
    roll_back(sites, other, copy, "state")
    assert try_to_serve(sites, third) == "failed"
    with pytest.raises(LedgerError, match="exchanged while the site runs"):
        sites.site(other).state.ledger.set_fact(FORGETFUL, ALL_TERMS)
    sites.start_site(other)
    one_history(sites)


def test_ledger_of_the_same_start_under_a_running_site_is_noticed(
    sites: QuickFederation, tmp_path: Path
) -> None:
    """A file system that is rolled back while the site runs: only the others can tell."""
    sites.run_to(2)
    other = "c"
    copy = copy_of(sites, other, tmp_path / "copy")
    sites.run_to(3)
    roll_back(sites, other, copy, "state")
    sites.ask_others(other)
    assert sites.site(other).state.ledger.fact("forgetful-through") is not None
    one_history(sites)


def exchange(sites: QuickFederation, vendor: str, other: Path) -> None:
    """Let the vendor's other site, in the folder ``other``, have the word from now on."""
    own, aside = sites.folders[vendor], other.with_name("aside")
    sites.disconnect()
    sites._kept.pop(vendor, None)
    shutil.move(own, aside)
    shutil.move(other, own)
    shutil.move(aside, other)


def test_old_machine_that_is_switched_on_again_takes_no_part(
    sites: QuickFederation, tmp_path: Path
) -> None:
    copy = copy_of(sites, "c", tmp_path / "copy")
    sites.restart("c")
    sites.restart("c")
    sites.run_to(2)
    exchange(sites, "c", copy)
    sites.start_site("c")
    outcome = sites.ask_others("c")
    assert (outcome.result, outcome.code) == ("failed", MessageRefused.SUPERSEDED)
    assert "switch this one off" in outcome.text
    ledger = sites.site("c").state.ledger
    assert ledger.votes(len(ledger) + 1).forgetful
    exchange(sites, "c", copy)
    sites.run_to(3)
    sites.agree()
    assert not sites.site("c").state.ledger.newer_site()


def test_two_sites_that_run_at_once_are_told_apart_and_one_counts(
    sites: QuickFederation, tmp_path: Path
) -> None:
    """The copy is the newer one: the first is refused as server, and its answers are dropped."""
    copy = copy_of(sites, "c", tmp_path / "copy")
    exchange(sites, "c", copy)
    sites.start_site("c")
    sites.start_site("c")
    sites.ask_others("c")
    newest = sites.site("c").state.ledger.memories("c", "")[0]
    exchange(sites, "c", copy)
    for _ in range(6):
        sites.turn()
    signed = [{*each.certificate.acceptances} for each in sites.committed("a")[1:]]
    assert signed
    assert all("c" not in each for each in signed)
    found = sites.site("c").state.ledger.newer_site()
    assert found is not None
    assert (found.start, found.run) == (newest.start, newest.run)
    assert sites.perform("c", attempt=0).result in ("outvoted", "failed")


def test_message_of_an_older_site_is_refused(sites: QuickFederation, tmp_path: Path) -> None:
    sites.restart("c")
    copy = copy_of(sites, "c", tmp_path / "copy")
    sites.restart("c")
    exchange(sites, "c", copy)
    assert sites.perform("c", kind="sync").code == MessageRefused.SUPERSEDED


def test_peer_cannot_silence_a_vendor_with_an_invented_memory(sites: QuickFederation) -> None:
    """Only the vendor's own signature counts."""
    ledger = sites.site("b").state.ledger
    heard = ledger.memories("", "c")[1]
    assert heard is not None
    invented = heard.model_copy(update={"start": heard.start + 5, "votes": 10**6})
    with ledger.deciding() as db:
        db.execute("UPDATE heard SET memory = ?", (invented.model_dump_json(),))
    sites.run_to(3)
    assert sites.site("c").state.ledger.is_sure()
    assert "c" in {v for each in sites.committed("a")[1:] for v in each.certificate.acceptances}


def test_site_that_only_restarts_votes_once_it_has_asked(sites: QuickFederation) -> None:
    site = sites.start_site("c")
    assert site.state.ledger.votes(2).forgetful
    sites.down = {"a"}  # one other site is enough for an ordinary restart
    assert sites.ask_others("c").result == "synced"
    assert not site.state.ledger.votes(2).forgetful
    sites.down = {"a", "b"}
    sites.start_site("c")
    assert sites.ask_others("c").result == "failed"
    assert site.state.ledger.votes(2).forgetful
