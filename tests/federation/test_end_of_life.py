"""Real sites: one gets new keys while it runs, another while it is away, and one leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.edge.ports import free_block
from deploy.identity.keys import public_line
from deploy.identity.staged_keys import staged_keys
from deploy.membership.roster import describe_roster
from deploy.operating.running import bring_down
from deploy.site.deployed_site import site_anew
from tests.deploy.membership.machines import Consortium
from tests.federation.test_whole_life import members, run_on, set_to_work
from tests.support.commands import SRFLM, run
from tests.support.sites import processes_about
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]

ROSTER = ("aster", "borealis", "cygnus")


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    made = Consortium(tmp_path, free_block(3))
    try:
        yield made
    finally:
        for vendor in ROSTER:
            if made.site_folder(vendor).exists():
                bring_down(made.site_folder(vendor))
    wait_until(lambda: processes_about(tmp_path) == [], "processes are left")


def ask(consortium: Consortium, vendor: str, command: str) -> None:
    consortium.admit_member(consortium.ask(vendor, command))
    consortium.publish()


def approve(consortium: Consortium, *vendors: str) -> None:
    for vendor in vendors:
        folder, answer = consortium.site_folder(vendor), consortium.answer(vendor)
        consortium.srflm("roster", "approve", folder, answer)


def has_new_keys(consortium: Consortium, vendor: str) -> bool:
    """Return whether a site works with the keys of the last edition, and has no others."""
    identity = consortium.site_folder(vendor) / "identity"
    agreed = consortium.office.editions()[-1].member(vendor).site_key
    return agreed == public_line(identity / "site.key") and not staged_keys(identity).exists()


def test_new_keys_at_home_and_away_and_then_a_leave(consortium: Consortium, tmp_path: Path) -> None:
    set_to_work(consortium, *ROSTER)

    # It runs, and switches by itself.
    ask(consortium, "aster", "rotate-keys")
    approve(consortium, *ROSTER)
    wait_until(lambda: has_new_keys(consortium, "aster"), "aster has its old keys")
    wait_until(lambda: members(consortium, *ROSTER), "the sites do not meet with new keys of aster")
    run_on(consortium, *ROSTER)

    # It is away when the edition comes into force: from then on the others refuse its old keys.
    ask(consortium, "cygnus", "rotate-keys")
    approve(consortium, "cygnus")
    bring_down(consortium.site_folder("cygnus"))
    assert not has_new_keys(consortium, "cygnus")
    approve(consortium, "aster", "borealis")
    wait_until(lambda: have_gone_on(consortium, "aster", "borealis"), "the two do not go on")
    told = consortium.srflm("up", consortium.site_folder("cygnus"), "--detach").output
    assert "The edition with this site's new keys holds" in told
    assert has_new_keys(consortium, "cygnus")
    wait_until(lambda: members(consortium, *ROSTER), "cygnus does not come back")
    run_on(consortium, *ROSTER)

    ask(consortium, "borealis", "leave")
    approve(consortium, *ROSTER)
    wait_until(lambda: members(consortium, "aster", "cygnus"), "the two do not meet")
    run_on(consortium, "aster", "cygnus")
    gone = site_anew(consortium.site_folder("borealis"))
    wait_until(lambda: processes_about(gone.folder) == [], "the site that left still runs")
    assert describe_roster(gone).startswith("no longer a member since term ")
    for vendor in ("aster", "cygnus"):
        bring_down(consortium.site_folder(vendor))
    folders = [consortium.site_folder(vendor) for vendor in ("aster", "cygnus")]
    found = run([SRFLM, "verify", *folders], cwd=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


def have_gone_on(consortium: Consortium, *vendors: str) -> bool:
    """Return whether these have the last edition, and have committed a term in it."""
    last = consortium.office.editions()[-1]
    sites = [site_anew(consortium.site_folder(vendor)) for vendor in vendors]
    return all(
        site.federation.hash == last.hash
        and site.standing().editions.last_change < len(site.state.ledger)
        for site in sites
    )
