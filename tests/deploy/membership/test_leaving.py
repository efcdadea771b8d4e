"""A member asks to leave: its request reaches the next edition, and its site ends with that one."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from deploy.cli.status import show_status
from deploy.membership.member_request import read_member_request
from deploy.operating import roster_switch
from deploy.operating.status import site_status
from deploy.site.verification import verify_site
from tests.deploy.membership.machines import Consortium
from tests.deploy.membership.running import running_consortium

FIRST = ("aster", "borealis", "cygnus")


def test_request_names_vendor_federation_and_edition_and_has_public_parts_only(
    consortium: Consortium,
) -> None:
    file = consortium.ask("cygnus", "leave")
    request, edition = read_member_request(file), consortium.office.editions()[0]
    assert (request.vendor, request.federation, request.edition) == ("cygnus", "nodules", 1)
    assert request.edition_hash == request.first == edition.hash
    assert request.signing_key == edition.member("cygnus").signing_key
    assert "PRIVATE" not in file.read_text()


def test_site_is_told_in_one_line_what_comes_next(consortium: Consortium) -> None:
    told = consortium.srflm("site", "leave", consortium.site_folder("cygnus")).output
    (line,) = [each for each in told.splitlines() if each.startswith("Next: ")]
    assert "a quorum of all members, this one too, approves" in line
    assert "this site runs until that edition holds" in line
    assert "ledger, models, and keys stay on its disk" in line
    assert "privacy ledger" not in line, "this federation is not private"


def test_private_site_is_told_to_keep_its_privacy_ledger(
    consortium: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Path("owner/privacy.sqlite")
    monkeypatch.setattr("deploy.site.privacy_files.ledger_if_private", lambda *_: ledger)
    told = consortium.srflm("site", "leave", consortium.site_folder("cygnus")).output
    (line,) = [each for each in told.splitlines() if each.startswith("Next: ")]
    assert f"Keep the privacy ledger {ledger} for ever" in line


def test_admitted_leave_is_in_the_next_edition_and_in_no_other(consortium: Consortium) -> None:
    told = consortium.admit_member(consortium.ask("cygnus", "leave"))
    assert "cygnus\n  leaves after edition 1; fingerprint:" in told
    assert "The next edition, 2, with all of these:\n  Leaves: cygnus" in told
    assert len(consortium.office.editions()) == 1, "nothing is published yet"
    printed = consortium.publish()
    assert "Leaves: cygnus" in printed and "As before: aster, borealis" in printed
    assert "At aster, borealis, cygnus:  srflm roster approve" in printed
    assert consortium.office.editions()[-1].roster == ("aster", "borealis")
    assert "no new edition" in consortium.publish()
    # It comes back like a newcomer, whatever it has asked for before.
    consortium.admit("cygnus")
    assert "Joins: cygnus" in consortium.publish()
    assert "no new edition" in consortium.publish()


def test_leave_join_and_new_keys_make_one_edition(consortium: Consortium) -> None:
    consortium.init("draco")
    consortium.admit("draco")
    consortium.admit_member(consortium.ask("cygnus", "leave"))
    told = consortium.admit_member(consortium.ask("borealis", "rotate-keys"))
    for line in ("Joins: draco", "Leaves: cygnus", "New address or keys: borealis"):
        assert line in told
    consortium.publish()
    first, second = consortium.office.editions()
    assert second.roster == ("aster", "borealis", "draco")
    assert second.member("borealis").signing_key != first.member("borealis").signing_key
    assert second.member("aster").signing_key == first.member("aster").signing_key


def test_new_keys_can_be_taken_back(consortium: Consortium) -> None:
    """docs/how-to/joins-and-leaves.md, *New keys*: the old request again, and no edition."""
    first = consortium.office.editions()[0]
    consortium.admit_member(consortium.ask("borealis", "rotate-keys"))
    assert "Certificates issued: borealis" in consortium.publish()
    consortium.init("borealis")
    root, file = consortium.office.root, consortium.inbox("borealis")
    consortium.srflm("federation", "admit", root, file, "--yes", "--replace")
    printed = consortium.publish("--instead")
    assert "Edition 2 is withdrawn" in printed and "no new edition" in printed
    assert consortium.office.editions() == [first]
    consortium.srflm("site", "join", consortium.site_folder("borealis"), consortium.answer("aster"))


def test_leave_that_no_federation_would_outlive_is_not_admitted(consortium: Consortium) -> None:
    consortium.admit_member(consortium.ask("cygnus", "leave"))
    file = consortium.ask("borealis", "leave")
    error = consortium.refused("federation", "admit", consortium.office.root, file, "--yes")
    assert "vendors" in error.found
    assert consortium.office.leaving() == ("cygnus",)


def test_nobody_leaves_unasked(consortium: Consortium) -> None:
    file = consortium.ask("cygnus", "leave")
    error = consortium.refused("federation", "admit", consortium.office.root, file)
    assert "a request of cygnus, and no terminal to ask" in error.found
    other = ("--fingerprint", read_member_request(consortium.ask("borealis", "leave")).fingerprint)
    error = consortium.refused("federation", "admit", consortium.office.root, file, *other)
    assert "fingerprint is not the one heard (cygnus" in error.found
    assert consortium.office.leaving() == ()


def test_programs_end_by_themselves_and_status_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_consortium(tmp_path) as sites:
        consortium = sites.consortium
        consortium.admit_member(consortium.ask("cygnus", "leave"))
        consortium.publish()
        sites.approve_published()
        assert sites.place("cygnus") == "member", "the site runs until the edition holds"
        sites.settle(4)
        assert sites.roster == ("aster", "borealis") and sites.place("cygnus") == "left"
        folder = sites.folders["cygnus"]
        sites.disconnect()
        # What the supervisor becomes once the launcher has seen the change.
        monkeypatch.setattr("sys.argv", ["roster_switch", str(folder)])
        with pytest.raises(SystemExit) as ended:
            roster_switch.main()
        assert ended.value.code == 0, "systemd does not start it again"
        assert "cygnus, no longer a member since term" in capsys.readouterr().out
        shown = io.StringIO()
        show_status(site_status(consortium.site("cygnus")), Console(file=shown, width=200))
        assert "no longer a member since term" in shown.getvalue()
        for kept in ("state/ledger.sqlite", "state/models", "identity/signing.key"):
            assert (folder / kept).exists()
        assert len(verify_site(sites.site("cygnus")).changes) == 1
        sites.settle(6)
        sites.agree()
