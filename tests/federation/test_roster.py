"""Real sites: a fourth joins between terms, one leaves, and the others go on with one ledger."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from deploy.edge.ports import LOOPBACK, free_block
from deploy.membership.confirming import collect, confirm, confirmations_beside
from deploy.membership.consortium import assemble, assemble_change
from deploy.membership.joining import join, new_site
from deploy.membership.roster import approve, describe_roster
from deploy.operating.control import prepare, start_detached
from deploy.operating.local_consortium import unseen
from deploy.operating.run_orders import order_rounds
from deploy.operating.running import bring_down, read_notes
from deploy.site.deployed_site import DeployedSite, site_anew
from deploy.site.layout import Layout
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation, with_changes
from tests.support.commands import SRFLM, run
from tests.support.sites import processes_about, rounds_of
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]


class Consortium:
    """Sites that are made and joined as docs/how-to/site.md says, each of its own keys."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.authority = folder, folder / "consortium"
        self.first_port = free_block(4)
        self.up: list[str] = []

    def membership(self, vendor: str, roster: str) -> Path:
        address = f"{LOOPBACK}:{self.first_port + 'abcd'.index(vendor)}"
        return new_site(self.folder / vendor, vendor, tuple(roster), address, address)

    def begin(self, base: Federation) -> None:
        roster = "".join(base.roster)
        assemble(self.authority, base, [self.membership(v, roster) for v in roster])
        self.join(roster, roster)

    def join(self, vendors: str, signed: str) -> None:
        """Let sites join, compare, and sign; they get the signatures of those in ``signed``."""
        answers = {vendor: self.authority / "members" / vendor for vendor in vendors}
        for vendor, answer in answers.items():
            confirm(self.site(vendor), join(self.folder / vendor, answer).hash)
        hash_ = self.site(vendors[0]).federation.hash
        files = [self.folder / vendor / "federation.toml" for vendor in signed]
        collect(self.authority, [confirmations_beside(file, hash_) for file in files])
        for vendor, answer in answers.items():
            join(self.folder / vendor, answer)

    def start(self, vendor: str) -> None:
        site = self.site(vendor)
        start_detached(prepare(site.folder), site.folder)
        self.up.append(vendor)

    def site(self, vendor: str) -> DeployedSite:
        """Return the site with the edition that it runs with now."""
        return site_anew(self.folder / vendor)

    def approve(self, file: Path, vendors: str) -> None:
        for vendor in vendors:
            approve(self.site(vendor), file)

    def members(self, vendors: str) -> bool:
        """Return whether all of these run with the edition that has just them, and see the rest."""
        return all(
            sorted(self.site(v).federation.roster) == sorted(vendors)
            and read_notes(Layout.of(self.site(v).settings)) is not None
            and unseen(self.site(v)) == []
            for v in vendors
        )

    def rounds(self, vendors: Iterable[str]) -> list[int]:
        return [rounds_of(self.site(vendor)) for vendor in vendors]

    def run_to(self, rounds: int, vendors: str, seconds: float = 240) -> None:
        wait_until(
            lambda: min(self.rounds(vendors)) >= rounds,
            f"{vendors} did not all commit round {rounds}",
        )


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    made = Consortium(tmp_path)
    try:
        yield made
    finally:
        for vendor in made.up:
            bring_down(made.folder / vendor)
    wait_until(lambda: processes_about(tmp_path) == [], "processes are left")


def test_fourth_site_joins_and_one_leaves(consortium: Consortium, tmp_path: Path) -> None:
    base = tiny_federation(tmp_path, ("a", "b", "c"), run__answer_deadline=30)
    consortium.begin(with_changes(base, run__work_deadline=120))
    for vendor in "abc":
        consortium.start(vendor)
    wait_until(lambda: consortium.members("abc"), "the first sites do not see each other")
    order_rounds(consortium.site("a"), 500)
    consortium.run_to(2, "abc")

    old = load_federation(consortium.folder / "a" / "federation.toml")
    memberships = [consortium.membership(vendor, "abcd") for vendor in "abcd"]
    assemble_change(consortium.authority, old, memberships)
    began = time.monotonic()
    consortium.approve(consortium.authority / "federation.toml", "abc")
    consortium.join("d", "abcd")
    consortium.start("d")
    wait_until(lambda: consortium.members("abcd"), "the four sites do not see each other")
    print(f"joined after {time.monotonic() - began:.1f} s")
    head = max(consortium.rounds("abc"))
    consortium.run_to(head + 2, "abcd")

    wait_until(
        lambda: any(r.server == "d" for r in consortium.site("a").state.ledger.records()),
        "the newcomer never served",
    )
    old = load_federation(consortium.folder / "a" / "federation.toml")
    assemble_change(consortium.authority, old, [], ["b"])
    began = time.monotonic()
    consortium.approve(consortium.authority / "federation.toml", "abcd")
    wait_until(lambda: consortium.members("acd"), "the three sites do not see each other")
    print(f"left after {time.monotonic() - began:.1f} s")
    head = max(consortium.rounds("acd"))
    consortium.run_to(head + 2, "acd")

    gone = consortium.site("b")
    wait_until(lambda: processes_about(gone.folder) == [], "the site that left still has processes")
    assert describe_roster(gone).startswith("no longer a member since term ")
    again = run([SRFLM, "up", "--detach", gone.folder], cwd=tmp_path)
    assert again.returncode == 1 and "no longer a member" in again.stderr
    order_rounds(consortium.site("d"), max(consortium.rounds("acd")))
    wait_until(lambda: len({*consortium.rounds("acd")}) == 1, "the ledgers are not of one length")
    for vendor in "acd":  # a term that was open may have been committed meanwhile
        bring_down(consortium.folder / vendor)
    found = run([SRFLM, "verify", *(consortium.folder / v for v in "acd")], cwd=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "All 3 ledgers" in found.stdout and "the roster changed with term" in found.stdout
