"""A quick federation whose roster changes: new editions, approvals, sites that switch or do not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import tomlkit

from deploy.identity.authority import create_consortium, sign_site_certificate
from deploy.identity.identity import install_certificate, make_identity
from deploy.identity.keys import public_line
from deploy.membership.roster import approve, edition_file, take_up_edition
from deploy.site.deployed_site import DeployedSite, site_anew
from deploy.site.starts import found_ledger
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from srflm_flower.federation.member import Member
from srflm_flower.federation.successor import successor
from strategies.errors import DeploymentError
from tests.support.quick_sites import InstantLearner, QuickFederation, quick_federation

EVERYONE = ("a", "b", "c", "d", "e")


class ChangingFederation(QuickFederation):
    """Vendors of ``everyone`` that can join and leave; ``roster`` are those that have a site.

    A site runs with the edition with which it was started: a restart takes up the one that holds.
    """

    everyone: tuple[str, ...] = EVERYONE
    first: Federation
    """The first edition of the file."""

    def prepare(self, folder: Path) -> None:
        """Make the identities of all that may ever join."""
        self.first = load_federation(self.folders[self.roster[0]] / "federation.toml")
        self._members, self._start = {}, self.roster
        consortium = create_consortium(folder / "everyone", "tiny")
        for number, vendor in enumerate(self.everyone):
            site = self.folders.setdefault(vendor, folder / "f" / "sites" / vendor)
            identity, address = site / "identity", f"127.0.0.1:{9000 + number}"
            public = make_identity(identity, vendor, self.everyone)
            (identity / "consortium-ca.crt").unlink(missing_ok=True)
            request = (identity / "site.csr").read_bytes()
            certificate = sign_site_certificate(consortium, request, vendor)
            install_certificate(identity, certificate, consortium.pem)
            if vendor not in self.roster:
                settings = tomlkit.dumps({"vendor": vendor, "listen": address})
                (site / "site.toml").write_text(settings)
            self._members[vendor] = (address, public)

    def edition(self, old: Federation, *roster: str) -> Federation:
        """Return the edition after ``old`` with this roster."""
        members = []
        for vendor in roster:
            address, public = self._members[vendor]
            keys = {peer: public.node_keys[peer] for peer in roster}
            member = Member(
                name=vendor,
                address=address,
                signing_key=public.signing_key,
                node_keys=keys,
                site_key=public_line(self.folders[vendor] / "identity" / "site.key"),
            )
            members.append(member)
        return successor(old, members)

    def write(self, federation: Federation) -> Path:
        """Write a federation file that nobody has yet."""
        path = self.folders[self.everyone[0]].parent / "new.toml"
        path.write_text(federation.to_toml())
        return path

    def approve(self, new: Federation, *vendors: str) -> None:
        """Let the operators of these sites approve an edition."""
        for vendor in vendors:
            approve(self.site(vendor), self.write(new))

    def join(self, vendor: str, new: Federation) -> None:
        """Give a newcomer its federation file, and start its site."""
        (self.folders[vendor] / "federation.toml").write_text(new.to_toml())
        self.roster = (*(v for v in self.roster if v != vendor), vendor)
        found_ledger(self.site(vendor))
        self.restart(vendor)

    def restart(self, vendor: str) -> DeployedSite:
        """Start a site anew, with the edition that holds where it has the file."""
        self._kept.pop(vendor, None)
        site_anew(self.folders[vendor]).state.ledger.found_anew()
        with suppress(DeploymentError):  # it has left
            take_up_edition(site_anew(self.folders[vendor]))
        return super().restart(vendor)

    def switch(self, *vendors: str) -> None:
        """Let sites (all if none are named) do what their launchers do after a change."""
        for vendor in vendors or self.roster:
            place = self.place(vendor)
            if place == "left":
                self.roster = tuple(v for v in self.roster if v != vendor)
            elif place == "between" and self._has_file(vendor):
                self.restart(vendor)

    def place(self, vendor: str) -> str:
        """Return whether a site can take part in the next term."""
        return self.site(vendor).site.participant.standing().place(vendor)

    def _has_file(self, vendor: str) -> bool:
        site = self.site(vendor)
        return edition_file(site, site.standing().editions.last.federation).exists()

    def hand_out(self, *editions: Federation) -> None:
        """Give the sites that lack it the file of the edition that their ledger has come to."""
        for vendor in self.roster:
            standing = self.site(vendor).standing()
            for new in editions:
                is_due = standing.editions.last.federation == new.hash
                if is_due and standing.place(vendor) == "between" and vendor in new.roster:
                    approve(self.site(vendor), self.write(new))

    def settle(self, terms: int, *editions: Federation, most: int = 60) -> None:
        """Take turns, switch, and sync as launchers do, until all members have these terms.

        The operators give their sites those of the ``editions`` that they lack.
        """
        for _ in range(most):
            self.hand_out(*editions)
            self.switch()
            if all(self.head(v) >= terms and self.place(v) == "member" for v in self._up()):
                return
            for vendor in self._up():
                if self.place(vendor) == "between" or self.head(vendor) < self._highest():
                    self.perform(vendor, kind="sync")
            self.switch()
            self.turn()
        raise AssertionError(f"stuck: {self.outcomes[-4:]}")

    def _up(self) -> list[str]:
        return [vendor for vendor in self.roster if vendor not in self.down]

    def _highest(self) -> int:
        return max(self.head(vendor) for vendor in self._up())

    def clear(self) -> None:
        """Begin anew with the first edition."""
        self.disconnect()
        self.roster = self._start
        for vendor, folder in self.folders.items():
            for path in folder.glob("federation.*.toml"):
                path.unlink()
            (folder / "federation.toml").unlink(missing_ok=True)
            if vendor in self.roster:
                (folder / "federation.toml").write_text(self.first.to_toml())
            shutil.rmtree(folder / "state", ignore_errors=True)
            (folder / "identity" / "starts").unlink(missing_ok=True)
        super().clear()

    def learner(
        self, federation: object, vendor: str, network: object, account: object
    ) -> InstantLearner:
        """Return a learner that stays the same in every roster."""
        return InstantLearner(vendor, self.trained, self.everyone.index(vendor))

    def nodes_of(self, server: str) -> tuple[str, ...]:
        """Return the vendors whose SuperNodes are there: by both sites' files they are members."""
        there = [
            vendor
            for vendor in self.site(server).federation.roster
            if (self.folders[vendor] / "federation.toml").exists()
            and server in self.site(vendor).federation.roster
        ]
        return tuple(there)

    def may_serve(self, vendor: str) -> bool:
        """Return whether a vendor's launcher takes its turns: not between two editions."""
        return super().may_serve(vendor) and self.place(vendor) == "member"


@contextmanager
def changing_federation(
    folder: Path, vendors: Sequence[str] = ("a", "b", "c")
) -> Iterator[ChangingFederation]:
    """Give a federation of these vendors that others can join and members can leave."""
    with quick_federation(folder, tuple(vendors), ChangingFederation) as sites:
        assert isinstance(sites, ChangingFederation)
        sites.prepare(folder)
        sites.clear()
        yield sites


def with_d(sites: ChangingFederation) -> Federation:
    """Return the edition that d joins."""
    return sites.edition(sites.first, "a", "b", "c", "d")


def without_c(sites: ChangingFederation) -> Federation:
    """Return the edition that c has left."""
    return sites.edition(sites.first, "a", "b")


def joined(sites: ChangingFederation) -> Federation:
    """Let d join after term 1; return the second edition."""
    sites.settle(1)
    new = with_d(sites)
    sites.approve(new, "a", "b")
    sites.approve(new, "c")
    sites.settle(2)
    sites.join("d", new)
    sites.settle(3)
    return new
