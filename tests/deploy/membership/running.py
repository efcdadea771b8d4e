"""Sites that a consortium has made by commands, and that run in memory: with terms, and no network.

Keys, requests, answers, and ledgers are real; a site takes up an edition as it would at a restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.identity.keys import read_signing_key
from srflm_flower.federation.loading import load_federation
from tests.deploy.membership.machines import Consortium
from tests.support.changing import ChangingFederation
from tests.support.quick_sites import quick_federation

ROSTER = ("aster", "borealis", "cygnus")
IMPATIENT = "[run]\nanswer-deadline = 0.001\nwork-deadline = 0.001\n"


class RunningConsortium(ChangingFederation):
    """Members with terms in their ledgers, and their consortium's folder."""

    everyone = ROSTER
    consortium: Consortium

    def prepare(self, folder: Path) -> None:
        """Take the sites of a consortium in place of those that were made without one."""
        self.consortium = Consortium(folder / "machines")
        self.consortium.create("--image-size", "16")
        agreed = self.consortium.office.agreed
        agreed.write_text(agreed.read_text().partition("[run]")[0] + IMPATIENT)
        self.consortium.begin(*self.roster)
        self.folders = {vendor: self.consortium.site_folder(vendor) for vendor in self.roster}
        self._kept.clear()
        self._members, self._start = {}, self.roster
        self.first = load_federation(self.folders[self.roster[0]] / "federation.toml")

    def approve_published(self, *vendors: str) -> None:
        """Let the operators of these sites (all if none are named) approve what is published."""
        for vendor in vendors or self.roster:
            answer = self.consortium.answer(vendor)
            self.consortium.srflm("roster", "approve", self.folders[vendor], answer)

    def signing_key(self, vendor: str) -> str:
        """Return the public part of the key with which a site signs now."""
        key = read_signing_key(self.folders[vendor] / "identity" / "signing.key")
        return key.public_key().public_bytes_raw().hex()


@contextmanager
def running_consortium(folder: Path) -> Iterator[RunningConsortium]:
    """Give three members that have committed a term."""
    with quick_federation(folder, ROSTER, RunningConsortium) as sites:
        assert isinstance(sites, RunningConsortium)
        sites.prepare(folder)
        sites.clear()
        sites.order("aster", rounds=100)
        sites.settle(1)
        yield sites
