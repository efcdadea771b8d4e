"""An upgrade: an edition accepts newer code besides, sites change one by one, a later one ends it.

Here the code is a hash; ``tests/federation/test_upgrade.py`` has two versions that run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.flower.bundle import installed_bundle
from deploy.operating import control
from deploy.operating.control import prepare
from deploy.site.deployed_site import site_anew
from deploy.site.verification import verify_site
from srflm_flower.federation.loading import with_changes
from srflm_flower.federation.successor import check_successor, difference, successor
from strategies.errors import ConfigurationError
from tests.deploy.membership.machines import Consortium
from tests.deploy.membership.running import ROSTER, RunningConsortium, running_consortium
from tests.support.edges import needs_nginx

NEWER, OTHER = "b" * 64, "c" * 64


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[RunningConsortium]:
    with running_consortium(tmp_path) as made:
        yield made


def hold(sites: RunningConsortium, bundles: tuple[str, ...]) -> None:
    """Let all approve what is published, and go on until every site runs with these bundles."""
    sites.approve_published()
    sites.settle(sites.head("aster") + 3)
    sites.agree()
    for vendor in ROSTER:
        assert site_anew(sites.folders[vendor]).federation.bundles == bundles, vendor


def test_members_accept_newer_code_and_later_require_it(sites: RunningConsortium) -> None:
    old = sites.consortium.office.editions()[0].bundle
    assert old is not None
    told = sites.consortium.publish("--accept", NEWER)
    assert f"Code that may run, too (bundle): {NEWER}" in told
    assert "As before: aster, borealis, cygnus" in told
    hold(sites, (old, NEWER))
    told = sites.consortium.publish("--require", NEWER)
    assert f"Code that may run no more (bundle): {old}" in told
    hold(sites, (NEWER,))
    changes = [r.term for r in sites.records("aster") if r.roster_change is not None]
    assert len(changes) == 2, "the same ledger goes on"
    for vendor in ROSTER:
        assert verify_site(sites.site(vendor)).changes == tuple(changes)


@needs_nginx
def test_site_starts_with_each_accepted_code_and_with_no_other(
    consortium: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = consortium.office.editions()
    consortium.publish("--accept", NEWER)
    for vendor in ROSTER:  # without terms a site may begin with a later edition
        answer = consortium.answer(vendor)
        words = consortium.office.editions()[-1].hash
        consortium.srflm("site", "join", consortium.site_folder(vendor), answer, "--heard", words)
    signed = [consortium.signatures(vendor) for vendor in ROSTER]
    folder = consortium.site_folder("aster")
    consortium.srflm("site", "join", folder, consortium.answer("aster"), *signed)

    def install(code: str | None) -> None:
        def writes_and_says(app: Path) -> str | None:
            installed_bundle(app)
            return code

        monkeypatch.setattr(control, "installed_bundle", writes_and_says)

    for code in (NEWER, first.bundle):
        install(code)
        prepare(folder)
    install(OTHER)
    with pytest.raises(ConfigurationError, match=OTHER) as refused:
        prepare(folder)
    assert f"{first.bundle} or {NEWER}" in refused.value.expected


def test_installed_stands_for_the_code_of_this_machine(
    consortium: Consortium, tmp_path: Path
) -> None:
    found = installed_bundle(tmp_path / "app")
    assert found == consortium.office.editions()[0].bundle
    assert "no new edition" in consortium.publish("--accept", "installed")
    assert "no new edition" in consortium.publish("--require", "installed")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--require", NEWER), "to be required"),
        (("--accept", NEWER, "--require", NEWER), "--accept and --require"),
        (("--accept", "b" * 12), "as a bundle"),
    ],
)
def test_a_change_of_code_that_is_none_is_refused(
    consortium: Consortium, options: tuple[str, ...], found: str
) -> None:
    refused = consortium.refused("federation", "publish", consortium.office.root, *options)
    assert found in refused.found
    assert len(consortium.office.editions()) == 1


def test_a_third_bundle_waits_until_the_upgrade_has_ended(consortium: Consortium) -> None:
    (first,) = consortium.office.editions()
    consortium.publish("--accept", NEWER)
    options = ("federation", "publish", consortium.office.root, "--accept", OTHER)
    assert "beside" in consortium.refused(*options).found
    # An upgrade can be called off, too.
    told = consortium.publish("--require", str(first.bundle))
    assert f"Code that may run no more (bundle): {NEWER}" in told
    consortium.publish("--accept", OTHER)
    assert consortium.office.editions()[-1].bundles == (first.bundle, OTHER)


def test_code_that_no_edition_has_accepted_is_approved_by_nobody(consortium: Consortium) -> None:
    (first,) = consortium.office.editions()
    changed = with_changes(successor(first, first.vendors), bundle=OTHER)
    with pytest.raises(ConfigurationError, match=r"bundle: found c+; expected one that edition 1"):
        check_successor(first, changed)
    both = with_changes(successor(first, first.vendors), accepted_bundle=OTHER)
    check_successor(first, both)
    assert difference(first, both).accepts == (OTHER,)
    with pytest.raises(ConfigurationError, match="accepted-bundle"):
        with_changes(both, accepted_bundle=first.bundle)
    with pytest.raises(ConfigurationError, match="expected a change"):
        check_successor(both, successor(both, both.vendors))
