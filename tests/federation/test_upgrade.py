"""Real sites upgrade one by one: two versions of the code serve the same terms, in one ledger."""

from __future__ import annotations

import os
import shutil
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from deploy.edge.ports import free_block
from deploy.operating.local_consortium import unseen
from deploy.operating.running import bring_down, read_notes
from deploy.site.deployed_site import site_anew
from deploy.site.layout import Layout
from deploy.site.verification import verify_site
from tests.deploy.membership.machines import Consortium
from tests.support.commands import BIN, run
from tests.support.sites import processes_about, rounds_of
from tests.support.waiting import PATIENCE_SECONDS, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]

ROSTER = ("aster", "borealis", "cygnus")
ROOT = Path(__file__).parents[2]
PACKAGES = ("clients", "deploy", "srflm_flower", "strategies")


class Installation:
    """A Python in which ``srflm`` is installed."""

    def __init__(self, bin_: Path) -> None:
        self.bin = bin_

    def srflm(self, *words: str | Path) -> CompletedProcess[str]:
        """Run a command of this installation."""
        # As in a shell where nothing else is set: the code is that of the interpreter.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        path = f"{self.bin}:{environment.get('PATH', '')}:/usr/sbin"
        return run(
            [self.bin / "srflm", *words], self.bin, PATIENCE_SECONDS, {**environment, "PATH": path}
        )

    def bundle(self) -> str:
        """Return the hash that ``srflm --version`` prints."""
        told = self.srflm("--version").stdout
        (line,) = [each for each in told.splitlines() if each.startswith("bundle ")]
        return line.removeprefix("bundle ")


def newer_version(folder: Path) -> Installation:
    """Install a copy of the code with one line more, beside the libraries of this one."""
    code = folder / "code"
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, code / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    with (code / "deploy" / "serving" / "launcher.py").open("a") as file:
        file.write("\n# Newer.\n")
    venv.create(folder / "venv", with_pip=False)
    (libraries,) = (folder / "venv" / "lib").glob("python*/site-packages")
    ours = Path(sys.prefix, *libraries.relative_to(folder / "venv").parts)
    # The first one wins: the copied packages, then all libraries.
    (libraries / "newer.pth").write_text(f"{code}\n{ours}\n")
    for script in BIN.iterdir():
        target, first = folder / "venv" / "bin" / script.name, f"#!{BIN}/python"
        if not target.exists() and script.is_file() and script.read_bytes()[:2] == b"#!":
            text = script.read_text()
            if text.startswith(first):
                target.write_text(text.replace(first, f"#!{folder / 'venv' / 'bin'}/python", 1))
                target.chmod(0o755)
    return Installation(folder / "venv" / "bin")


class Sites:
    """The members of a consortium as real sites, each with an installation of its own."""

    def __init__(self, folder: Path) -> None:
        self.consortium = Consortium(folder / "c", free_block(3))
        self.consortium.create("--image-size", "16", "--rounds", "2")
        self.consortium.begin(*ROSTER)

    def folder(self, vendor: str) -> Path:
        return self.consortium.site_folder(vendor)

    def up(self, vendor: str, by: Installation) -> None:
        started = by.srflm("up", self.folder(vendor), "--detach")
        assert started.returncode == 0, started.stdout + started.stderr

    def down(self, vendor: str) -> None:
        bring_down(self.folder(vendor))

    def change(self, option: str, code: str) -> None:
        """Publish a change of code, let all approve it, and wait until every site has taken it."""
        self.consortium.publish(option, code)
        edition = self.consortium.office.editions()[-1]
        for vendor in ROSTER:
            answer = self.consortium.answer(vendor)
            self.consortium.srflm("roster", "approve", self.folder(vendor), answer)
        self.more_rounds(1)
        wait_until(
            lambda: all(
                site_anew(self.folder(v)).federation.hash == edition.hash
                and read_notes(Layout.of(site_anew(self.folder(v)).settings)) is not None
                for v in ROSTER
            ),
            "the edition does not hold everywhere",
        )

    def more_rounds(self, rounds: int) -> None:
        """Wait for all sites, order rounds, and wait until each site has them."""
        wait_until(
            lambda: all(unseen(site_anew(self.folder(v))) == [] for v in ROSTER),
            "the sites do not see each other",
        )
        last = max(rounds_of(site_anew(self.folder(v))) for v in ROSTER) + rounds
        self.consortium.srflm("run", self.folder("aster"), "--rounds", str(rounds))
        wait_until(
            lambda: min(rounds_of(site_anew(self.folder(v))) for v in ROSTER) >= last,
            "a site lacks rounds",
        )


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Sites]:
    made = Sites(tmp_path)
    try:
        yield made
    finally:
        for vendor in ROSTER:
            made.down(vendor)
    wait_until(lambda: processes_about(tmp_path / "c") == [], "processes are left")


def test_members_upgrade_one_by_one_and_no_term_is_lost(sites: Sites, tmp_path: Path) -> None:
    older, newer = Installation(BIN), newer_version(tmp_path / "newer")
    new, old = newer.bundle(), older.bundle()
    assert new != old
    for vendor in ROSTER:
        sites.up(vendor, older)
    sites.more_rounds(1)
    early = newer.srflm("up", sites.folder("cygnus"), "--detach")
    assert early.returncode != 0, "nobody has accepted it yet"

    sites.change("--accept", new)
    sites.down("cygnus")
    sites.up("cygnus", newer)
    sites.more_rounds(3)  # by turn: each has served once
    records = list(site_anew(sites.folder("aster")).state.ledger.records())[-3:]
    assert {record.server for record in records} == set(ROSTER)
    assert all(set(record.steps) == set(ROSTER) for record in records), "two versions in each term"

    for vendor in ("aster", "borealis"):
        sites.down(vendor)
        sites.up(vendor, newer)
    sites.change("--require", new)
    sites.more_rounds(1)
    sites.down("cygnus")
    refused = older.srflm("up", sites.folder("cygnus"), "--detach")
    told = refused.stdout + refused.stderr
    assert refused.returncode != 0 and old in told and new in told
    for vendor in ROSTER:
        assert len(verify_site(site_anew(sites.folder(vendor))).changes) == 2
