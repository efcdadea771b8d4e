"""From the first request to the third edition, by commands, between folders as machines."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from deploy.identity.certificates import read_certificate
from deploy.identity.checks import check_identity
from deploy.membership.assigning import membership_of
from deploy.membership.confirming import require_confirmed
from deploy.membership.publishing import publish
from deploy.membership.roster import describe_roster
from srflm_flower.federation.loading import load_federation
from srflm_flower.federation.successor import check_successor
from strategies.errors import ConfigurationError
from tests.deploy.membership.machines import Consortium

FIRST = ("aster", "borealis", "cygnus")


def test_first_members_may_come_up_and_no_private_key_has_travelled(consortium: Consortium) -> None:
    for vendor in FIRST:
        site = consortium.site(vendor)
        require_confirmed(site)
        check_identity(site.settings.identity, vendor, datetime.now(UTC), FIRST)
    sent = [*consortium.office.root.rglob("*.toml")]
    assert len(sent) > 5
    assert not any("PRIVATE" in file.read_text() for file in sent)
    hashes = {consortium.site(vendor).federation.hash for vendor in FIRST}
    assert hashes == {consortium.office.editions()[0].hash}


def test_join_needs_of_the_others_an_approval_only(consortium: Consortium) -> None:
    """Five commands for the newcomer and the consortium, one for each present member."""
    consortium.commands.clear()
    consortium.init("draco")
    consortium.admit("draco")
    printed = consortium.publish()
    assert "Joins: draco" in printed and "As before: aster, borealis, cygnus" in printed
    assert "Certificates issued: draco" in printed
    for vendor in FIRST[:2]:
        folder, answer = consortium.site_folder(vendor), consortium.answer(vendor)
        told = consortium.srflm("roster", "approve", folder, answer).output
        assert "Joins: draco" in told and "srflm run" in told
        # No term comes without an order: the status says so too.
        assert "order one (`srflm run`)" in describe_roster(consortium.site(vendor))
    signed = [consortium.signatures(vendor) for vendor in FIRST[:2]]
    words = consortium.office.editions()[-1].hash
    folder, answer = consortium.site_folder("draco"), consortium.answer("draco")
    told = consortium.srflm("site", "join", folder, answer, *signed, "--heard", words).output
    assert f"srflm up {folder}" in told
    require_confirmed(consortium.site("draco"))
    own = [each for each in consortium.commands if not each.startswith("roster approve")]
    assert [each.split()[:2] for each in own] == [
        ["site", "init"],
        ["federation", "admit"],
        ["federation", "publish"],
        ["site", "join"],
    ]  # and `srflm up`
    old, new = consortium.office.editions()
    check_successor(old, new)
    assert new.roster == (*FIRST, "draco")
    # The others' keys for each other are as they were.
    for vendor in FIRST:
        before, after = old.member(vendor).node_keys or {}, new.member(vendor).node_keys or {}
        assert {peer: after[peer] for peer in before} == before


def test_nothing_is_issued_again_that_has_not_changed(consortium: Consortium) -> None:
    before = {p: p.read_bytes() for p in consortium.office.root.rglob("*") if p.is_file()}
    printed = consortium.publish()
    assert "no new edition" in printed and "Nothing has changed" in printed
    assert before == {p: p.read_bytes() for p in consortium.office.root.rglob("*") if p.is_file()}


def test_certificate_that_ends_within_sixty_days_is_renewed_without_an_edition(
    consortium: Consortium,
) -> None:
    ends = read_certificate(consortium.office.certificate("aster")).not_valid_after_utc
    early = publish(consortium.office, now=ends - timedelta(days=61))
    assert early.issued == () and not early.changed
    late = publish(consortium.office, now=ends - timedelta(days=59))
    assert set(late.issued) == set(FIRST) and late.changed and not late.new
    renewed = read_certificate(consortium.office.certificate("aster")).not_valid_after_utc
    assert renewed > ends
    assert len(consortium.office.editions()) == 1


def test_renewed_certificate_is_installed_by_the_same_command(consortium: Consortium) -> None:
    consortium.office.certificate("aster").unlink()
    assert "Certificates issued: aster" in consortium.publish()
    folder = consortium.site_folder("aster")
    before = (folder / "identity" / "site.crt").read_bytes()
    told = consortium.srflm("site", "join", folder, consortium.answer("aster")).output
    assert "All members have signed it" in told
    assert (folder / "identity" / "site.crt").read_bytes() != before


def test_member_leaves_and_does_not_come_back_by_itself(consortium: Consortium) -> None:
    printed = consortium.publish("--leaves", "cygnus")
    assert "Leaves: cygnus" in printed
    # Their keys for cygnus go with it, which is no change of their own.
    assert "As before: aster, borealis" in printed and "New address or keys" not in printed
    assert consortium.office.editions()[-1].roster == ("aster", "borealis")
    consortium.publish()
    assert len(consortium.office.editions()) == 2


def test_key_of_one_that_has_left_is_given_to_nobody_else(consortium: Consortium) -> None:
    consortium.publish("--leaves", "cygnus")
    consortium.init("draco")
    consortium.admit("draco")
    consortium.publish()
    consortium.admit("cygnus")
    consortium.publish()
    first, _, _, last = consortium.office.editions()
    assert last.roster == ("aster", "borealis", "draco", "cygnus")
    keys = [(each.member("aster").node_keys or {}) for each in (first, last)]
    assert len(set(keys[1].values())) == 4
    assert keys[0]["cygnus"] not in keys[1].values()


def test_edition_that_nobody_approves_is_replaced(consortium: Consortium) -> None:
    """Its keys are for nobody else: a site may have taken them for the one who does not join."""
    consortium.init("draco")
    consortium.admit("draco")
    consortium.publish()
    site = consortium.site_folder("aster")
    consortium.srflm("roster", "approve", site, consortium.answer("aster"))
    consortium.srflm("roster", "withdraw", site)
    refused = consortium.office.editions()[-1]
    consortium.office.request("draco").unlink()
    consortium.init("eos")
    consortium.admit("eos")
    assert "Edition 2 is withdrawn" in consortium.publish("--instead")
    first, second = consortium.office.editions()
    check_successor(first, second)
    assert second.roster == (*FIRST, "eos")
    keys = [(each.member("aster").node_keys or {}) for each in (refused, second)]
    assert keys[0]["draco"] not in keys[1].values()
    consortium.srflm("roster", "approve", site, consortium.answer("aster"))


def test_member_that_moves_keeps_its_keys(consortium: Consortium) -> None:
    site = consortium.site_folder("aster")
    options = ("--vendor", "aster", "--address", "localhost:9999", "--data", "")
    consortium.srflm("site", "init", site, *options)
    shutil.copy(site / "aster.request.toml", consortium.inbox("aster"))
    consortium.admit("aster")
    assert "New address or keys: aster" in consortium.publish()
    old, new = consortium.office.editions()
    assert new.member("aster").address == "localhost:9999"
    assert new.member("aster").node_keys == old.member("aster").node_keys
    consortium.srflm("roster", "approve", site, consortium.answer("aster"))


def test_settings_of_a_begun_federation_cannot_change(consortium: Consortium) -> None:
    text = consortium.office.agreed.read_text()
    consortium.office.agreed.write_text(text.replace("batch-size = ", "batch-size = 1"))
    error = consortium.refused("federation", "publish", consortium.office.root)
    assert "training" in error.found and "only the roster" in error.expected


def test_site_without_terms_may_still_begin_with_a_later_edition(consortium: Consortium) -> None:
    consortium.init("draco")
    consortium.admit("draco")
    consortium.publish()
    folder, answer = consortium.site_folder("aster"), consortium.answer("aster")
    consortium.srflm("site", "join", folder, answer)
    assert load_federation(folder / "federation.toml").edition == 2


def test_consortium_can_collect_the_signatures(consortium: Consortium) -> None:
    signed = [consortium.signatures(vendor) for vendor in FIRST]
    told = consortium.srflm("federation", "collect", consortium.office.root, *signed).output
    assert "All members have signed" in told
    folder = consortium.site_folder("aster")
    consortium.signatures("aster").unlink()
    consortium.srflm("site", "join", folder, consortium.answer("aster"))
    require_confirmed(consortium.site("aster"))


def test_spare_keys_run_out_with_a_clear_error(consortium: Consortium) -> None:
    request = consortium.office.requests()["aster"]
    many = [f"v{number}" for number in range(len(request.spare_node_keys) + 1)]
    with pytest.raises(ConfigurationError, match="24 spare node keys of aster for 25"):
        membership_of(request, ["aster", *many], {}, ())
