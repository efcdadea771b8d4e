"""All sites of a consortium on one machine: what ``srflm poc`` and the tests bring up."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from clients.privacy.ledger.ledger import LEDGER_FILE
from deploy.edge.ports import LOOPBACK, free_block
from deploy.membership.confirming import collect, confirm
from deploy.membership.consortium import assemble
from deploy.membership.joining import join, new_site
from deploy.operating.control import prepare, start_detached
from deploy.serving.own_superlink import peers_at
from deploy.site.deployed_site import DeployedSite, site_at
from deploy.site.layout import Layout
from deploy.site.site_on_disk import site_on_disk
from srflm_flower.federation.federation import Federation
from srflm_flower.privacy.own_data import is_own_data
from strategies.errors import ConfigurationError

SEEN_SECONDS = 90.0


def make_or_open(
    folder: Path, federation: Federation, **settings: object
) -> dict[str, DeployedSite]:
    """Make a site for every vendor in ``folder``, or open the sites that are there.

    ``settings`` go into every new ``site.toml``.  Raises :class:`ConfigurationError` when the
    folder holds another federation's sites.
    """
    roster = federation.roster
    folders = {vendor: folder.resolve() / "sites" / vendor for vendor in roster}
    present = {path.parent.name for path in folder.glob("sites/*/site.toml")}
    if present and present != set(roster):
        raise ConfigurationError(
            f"{folder}, which holds the sites of {', '.join(sorted(present))}",
            f"a new folder, or one with {', '.join(roster)}",
            f"choose another --folder, or `srflm poc down --delete --folder {folder}`",
        )
    if not present:
        first = free_block(len(roster))
        addresses = {v: f"{LOOPBACK}:{first + n}" for n, v in enumerate(roster)}
        # The sites share the cores of this machine.
        threads = {"threads": max(1, (os.cpu_count() or 1) // len(roster))}
        make_local_sites(folder.resolve(), federation, addresses, **(threads | settings))
    sites = {vendor: site_at(path) for vendor, path in folders.items()}
    unnamed = any(each.settings.privacy.ledger is None for each in sites.values())
    if unnamed and federation.privacy.private and is_own_data(federation):
        raise ConfigurationError(
            f"{folder}, made by an older version: its sites would spend from your own ledger",
            "sites with a privacy ledger each in this folder",
            f"`srflm poc down --delete --folder {folder}`, then up again",
        )
    return sites


def make_local_sites(
    folder: Path, federation: Federation, addresses: Mapping[str, str], **settings: object
) -> dict[str, Path]:
    """Make a site for every vendor under ``folder`` and let all join; return their folders.

    ``addresses`` are ``ip:port`` by vendor; ``settings`` go into every ``site.toml``.
    """
    # The sites play different owners of data: each has a privacy ledger in its own folder, and
    # none spends from that of the user who tries them.
    settings |= {"privacy": {"ledger": f"owner/{LEDGER_FILE}"}}
    authority, roster = folder / "consortium", federation.roster
    sites = {vendor: folder / "sites" / vendor for vendor in roster}
    # The agreed file has no paths: every site names its own data, as on a machine of its own.
    own: dict[str, dict[str, object]] = {
        each.name: ({"data": str(each.path)} if each.path else {}) | settings
        for each in federation.vendors
    }
    files = [
        new_site(site, vendor, roster, addresses[vendor], addresses[vendor], **own[vendor])
        for vendor, site in sites.items()
    ]
    answers = assemble(authority, federation, files)
    # One person has all the sites, so there is nobody to compare the hash with.
    signed = [
        confirm(site_on_disk(sites[vendor]), join(sites[vendor], answer).hash)
        for vendor, answer in answers.items()
    ]
    collect(authority, signed)
    for vendor, answer in answers.items():
        join(sites[vendor], answer)
    (authority / "consortium-ca.key").unlink()  # nobody guards it here, so nobody can join later
    return sites


def bring_up_all(
    sites: Mapping[str, DeployedSite], within: float = SEEN_SECONDS
) -> dict[str, list[str]]:
    """Bring all sites up and wait until they see each other; return who does not see whom."""
    for site in sites.values():
        start_detached(prepare(site.folder), site.folder)
    until = time.monotonic() + within
    while True:
        missing = {vendor: unseen(site) for vendor, site in sites.items()}
        missing = {vendor: peers for vendor, peers in missing.items() if peers}
        if not missing or time.monotonic() > until:
            return missing
        time.sleep(0.5)


def unseen(site: DeployedSite) -> list[str]:
    """Return the vendors whose sites do not answer this one; all, while it is starting itself."""
    peers = [vendor for vendor in site.federation.roster if vendor != site.vendor]
    states = peers_at(Layout.of(site.settings), peers)
    return [peer for peer in peers if states.get(peer) not in ("online", "reachable")]
