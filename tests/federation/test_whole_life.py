"""Real sites by commands alone: a federation from nothing, a fourth member, and one that leaves."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.edge.ports import free_block
from deploy.membership.roster import describe_roster
from deploy.operating.local_consortium import unseen
from deploy.operating.running import bring_down, read_notes
from deploy.site.deployed_site import site_anew
from deploy.site.layout import Layout
from tests.deploy.membership.machines import Consortium
from tests.support.sites import processes_about, rounds_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]

FIRST = ("aster", "borealis", "cygnus")
PATIENT = "[run]\nanswer-deadline = 30.0\nwork-deadline = 120.0\n"


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    made = Consortium(tmp_path, free_block(4))
    try:
        yield made
    finally:
        for vendor in (*FIRST, "draco"):
            if made.site_folder(vendor).exists():
                bring_down(made.site_folder(vendor))
    wait_until(lambda: processes_about(tmp_path) == [], "processes are left")


def members(consortium: Consortium, *vendors: str) -> bool:
    """Return whether all of these run with the edition that has just them, and see the rest."""
    sites = [site_anew(consortium.site_folder(vendor)) for vendor in vendors]
    return all(
        sorted(site.federation.roster) == sorted(vendors)
        and read_notes(Layout.of(site.settings)) is not None
        and unseen(site) == []
        for site in sites
    )


def head(consortium: Consortium, *vendors: str) -> int:
    return max(rounds_of(site_anew(consortium.site_folder(vendor))) for vendor in vendors)


def run_on(consortium: Consortium, *vendors: str) -> None:
    """Wait until all of these have committed two rounds more."""
    goal = head(consortium, *vendors) + 2
    wait_until(
        lambda: all(
            rounds_of(site_anew(consortium.site_folder(vendor))) >= goal for vendor in vendors
        ),
        f"{vendors} did not all commit round {goal}",
    )


def set_to_work(consortium: Consortium, *vendors: str) -> None:
    """Let these become a federation by commands, come up, and commit two rounds of a long run."""
    consortium.create("--image-size", "16", "--rounds", "2")
    text = consortium.office.agreed.read_text()
    small = text.replace("examples = ", "examples = 60 # ").partition("[run]")[0] + PATIENT
    consortium.office.agreed.write_text(small)
    consortium.begin(*vendors)
    for vendor in vendors:
        consortium.srflm("up", consortium.site_folder(vendor), "--detach")
    wait_until(lambda: members(consortium, *vendors), "the sites do not see each other")
    consortium.srflm("run", consortium.site_folder(vendors[0]), "--rounds", "500", "--detach")
    run_on(consortium, *vendors)


def test_newcomer_is_a_member_after_five_commands_and_an_approval(consortium: Consortium) -> None:
    set_to_work(consortium, *FIRST)

    began = time.monotonic()
    consortium.commands.clear()
    consortium.init("draco")
    consortium.admit("draco")
    consortium.publish()
    for vendor in FIRST:
        folder, answer = consortium.site_folder(vendor), consortium.answer(vendor)
        refused = consortium.refused("site", "join", folder, answer)
        assert f"srflm roster approve {folder}" in refused.mend
        consortium.commands.pop()
        consortium.srflm("roster", "approve", folder, answer)
    signed = [consortium.signatures(vendor) for vendor in FIRST]
    words = consortium.office.editions()[-1].hash
    folder, answer = consortium.site_folder("draco"), consortium.answer("draco")
    consortium.srflm("site", "join", folder, answer, *signed, "--heard", words)
    consortium.srflm("up", folder, "--detach")
    names = [each.partition("/")[0].strip() for each in consortium.commands]
    assert names.count("roster approve") == len(FIRST)
    assert len(names) - len(FIRST) == 5
    wait_until(lambda: members(consortium, *FIRST, "draco"), "the four sites do not meet")
    print(f"joined after {time.monotonic() - began:.1f} s")
    run_on(consortium, *FIRST, "draco")

    shutil.rmtree(consortium.folder / "consortium" / "inbox")
    consortium.publish("--leaves", "borealis")
    for vendor in (*FIRST, "draco"):
        answer = consortium.answer(vendor)
        consortium.srflm("roster", "approve", consortium.site_folder(vendor), answer)
    wait_until(lambda: members(consortium, "aster", "cygnus", "draco"), "the three do not meet")
    run_on(consortium, "aster", "cygnus", "draco")
    gone = site_anew(consortium.site_folder("borealis"))
    wait_until(lambda: processes_about(gone.folder) == [], "the site that left still runs")
    assert describe_roster(gone).startswith("no longer a member since term ")


def test_four_local_sites_run_after_two_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seconds are printed, not checked: the machine may be busy."""
    monkeypatch.chdir(tmp_path)
    machine, began = Consortium(tmp_path), time.monotonic()
    try:
        assert "does not see" not in machine.srflm("poc", "up", "--vendors", "4").output
        print(f"four sites after {time.monotonic() - began:.1f} s")
        told = machine.srflm("run", tmp_path / "poc" / "sites" / "aster", "--rounds", "1").output
        assert "1 of 1 rounds" in told
    finally:
        machine.srflm("poc", "down")
    assert len(machine.commands) == 3  # the third one stops them
    wait_until(lambda: processes_about(tmp_path) == [], "processes are left")
