"""A site gets new keys: it works with the old ones until the edition holds, and then switches."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.doctor import new_keys
from deploy.doctor.new_keys import switch_if_known
from deploy.identity.staged_keys import staged_keys
from deploy.membership.confirming import require_confirmed
from deploy.membership.request import read_request
from deploy.membership.roster import describe_roster
from deploy.operating.backup import back_up
from deploy.operating.restore import restore
from deploy.site.verification import verify_site
from strategies.errors import DeploymentError
from tests.deploy.membership.running import RunningConsortium, running_consortium


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[RunningConsortium]:
    with running_consortium(tmp_path) as made:
        yield made


def published(sites: RunningConsortium, vendor: str = "borealis") -> None:
    """Let a site ask for new keys, and the consortium publish the edition that has them."""
    file = sites.consortium.ask(vendor, "rotate-keys")
    told = sites.consortium.admit_member(file)
    assert f"The next edition, 2, with all of these:\n  New address or keys: {vendor}" in told
    assert f"Admitted: {vendor} (new keys after edition 1)" in told
    assert f"New address or keys: {vendor}" in sites.consortium.publish()


def private_keys(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.rglob("*.key")}


def test_site_works_with_old_keys_until_the_edition_holds_and_then_with_new_ones(
    sites: RunningConsortium,
) -> None:
    identity = sites.folders["borealis"] / "identity"
    old, before = sites.signing_key("borealis"), private_keys(identity)
    published(sites)
    sites.approve_published()
    assert sites.signing_key("borealis") == old
    record_of_the_change = sites.head("borealis") + 1
    sites.settle(record_of_the_change)
    change = sites.records("aster")[record_of_the_change - 1].roster_change
    assert change is not None and "borealis" in change.approvals, "with its old key"
    sites.settle(record_of_the_change + 4)
    sites.agree()
    new = sites.signing_key("borealis")
    assert new == sites.consortium.office.editions()[-1].member("borealis").signing_key != old
    assert not staged_keys(identity).exists()
    assert before & private_keys(identity) == set(), "the old keys are gone"
    assert "borealis" in sites.records("aster")[-1].ballots
    assert "borealis" in {r.server for r in sites.records("aster")[record_of_the_change:]}
    for vendor in sites.roster:
        assert verify_site(sites.site(vendor)).changes == (record_of_the_change,)


def test_old_keys_stay_while_the_edition_waits(sites: RunningConsortium) -> None:
    old = sites.signing_key("borealis")
    published(sites)
    sites.approve_published("borealis")
    sites.settle(4)
    sites.restart("borealis")
    assert sites.signing_key("borealis") == old
    assert describe_roster(sites.site("borealis")).startswith("aster, borealis, cygnus; approved")


def test_asked_again_a_site_keeps_its_new_keys(sites: RunningConsortium) -> None:
    first = sites.consortium.ask("borealis", "rotate-keys").read_bytes()
    waiting = private_keys(staged_keys(sites.folders["borealis"] / "identity"))
    again = sites.consortium.ask("borealis", "rotate-keys")
    assert again.read_bytes() == first
    assert private_keys(staged_keys(sites.folders["borealis"] / "identity")) == waiting


def test_edition_with_new_keys_that_nobody_approves_can_come_again(
    sites: RunningConsortium,
) -> None:
    """The new keys are still the site's, though an edition that was withdrawn has named them."""
    published(sites)
    sites.approve_published("borealis")
    sites.consortium.srflm("roster", "withdraw", sites.folders["borealis"])
    sites.consortium.office.withdraw()
    sites.consortium.admit_member(sites.consortium.ask("borealis", "rotate-keys"))
    sites.consortium.publish()
    sites.approve_published()
    sites.settle(sites.head("borealis") + 3)
    new = sites.consortium.office.editions()[-1].member("borealis").signing_key
    assert sites.signing_key("borealis") == new


def missed(sites: RunningConsortium) -> None:
    """Let the edition with new keys of borealis come into force while its site is away."""
    published(sites)
    sites.approve_published()
    sites.down = {"borealis"}
    sites.settle(3)
    sites.down = set()
    assert sites.site("aster").federation.edition == 2
    assert sites.site("borealis").federation.edition == 1


@pytest.mark.parametrize("knowing", [[], ["aster"]])
def test_site_that_was_away_switches_once_a_quorum_knows_its_new_keys(
    sites: RunningConsortium, monkeypatch: pytest.MonkeyPatch, knowing: list[str]
) -> None:
    missed(sites)
    monkeypatch.setattr(new_keys, "known_by", lambda site, new: knowing)
    old = sites.signing_key("borealis")
    sites.disconnect()
    assert switch_if_known(sites.folders["borealis"]) == bool(knowing)
    sites.restart("borealis")
    assert (sites.signing_key("borealis") != old) == bool(knowing)
    if knowing:
        assert not switch_if_known(sites.folders["borealis"]), "there is nothing to wait for"
        assert sites.site("borealis").federation.edition == 2
        sites.settle(6)
        sites.agree()
        assert "borealis" in sites.records("aster")[-1].ballots


def test_backup_has_the_keys_that_wait(sites: RunningConsortium, tmp_path: Path) -> None:
    published(sites)
    sites.approve_published("borealis")
    folder = sites.folders["borealis"]
    waiting = private_keys(staged_keys(folder / "identity"))
    back_up(sites.site("borealis"), tmp_path / "borealis.tar")
    sites.disconnect()
    shutil.rmtree(folder)
    restore(tmp_path / "borealis.tar", folder)
    assert private_keys(staged_keys(folder / "identity")) == waiting


def test_site_that_has_left_asks_for_nothing(sites: RunningConsortium) -> None:
    sites.consortium.admit_member(sites.consortium.ask("cygnus", "leave"))
    sites.consortium.publish()
    sites.approve_published()
    sites.settle(4)
    for command in ("leave", "rotate-keys"):
        error = sites.consortium.refused("site", command, sites.folders["cygnus"])
        assert error.code == DeploymentError.LEFT
        assert "no longer a member since term" in error.found


def test_stolen_keys_are_replaced_at_a_site_with_terms_as_the_page_says(
    sites: RunningConsortium,
) -> None:
    """docs/how-to/joins-and-leaves.md, *A key was stolen*."""
    consortium, folder = sites.consortium, sites.folders["borealis"]
    sites.disconnect()
    for pattern in ("signing.key", "site.*", "node-*", "spare-*"):
        for path in (folder / "identity").glob(pattern):
            path.unlink()
    consortium.init("borealis")
    words = ("--fingerprint", read_request(consortium.inbox("borealis")).fingerprint, "--replace")
    consortium.srflm(
        "federation", "admit", consortium.office.root, consortium.inbox("borealis"), *words
    )
    consortium.publish()
    sites.approve_published("aster", "cygnus")
    sites.down = {"borealis"}
    sites.settle(3)
    signed = [consortium.signatures(vendor) for vendor in ("aster", "cygnus")]
    hash_ = consortium.office.editions()[-1].hash
    answer = consortium.answer("borealis")
    consortium.srflm("site", "join", folder, answer, *signed, "--heard", hash_)
    require_confirmed(consortium.site("borealis"))
    sites.down = set()
    sites.restart("borealis")
    sites.settle(6)
    sites.agree()
    assert "borealis" in sites.records("aster")[-1].ballots
