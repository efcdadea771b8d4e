"""Real sites on this machine: processes, keys, mutual TLS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from deploy.operating.local_consortium import bring_up_all, make_or_open
from deploy.operating.run_orders import order_rounds
from deploy.operating.running import bring_down, read_notes
from deploy.site.deployed_site import DeployedSite
from deploy.site.layout import Layout
from srflm_flower.federation.federation import Federation
from tests.support.waiting import wait_until

Sites = Mapping[str, DeployedSite]


@contextmanager
def running_sites(folder: Path, federation: Federation, **settings: object) -> Iterator[Sites]:
    """Bring up a site for every vendor; bring all down afterwards, and see that nothing is left."""
    sites = make_or_open(folder, federation, **settings)
    try:
        assert bring_up_all(sites) == {}
        yield sites
    finally:
        for site in sites.values():
            bring_down(site.folder)
    wait_until(lambda: processes_about(folder) == [], "processes are left")


def processes_about(folder: Path) -> list[str]:
    """Return the command lines of living processes that name ``folder``."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if str(folder) in line and process.status() != psutil.STATUS_ZOMBIE:
                found.append(line)
        except psutil.Error:
            continue
    return found


def layout_of(site: DeployedSite) -> Layout:
    """Return where the site's files lie."""
    return Layout.of(site.settings)


def programs_of(site: DeployedSite) -> dict[str, int]:
    """Return program → process id of a site that is up, its supervisor too."""
    notes = read_notes(layout_of(site))
    assert notes is not None, "the site is not up"
    return {**notes.programs, "supervisor": notes.supervisor}


def rounds_of(site: DeployedSite) -> int:
    """Return the rounds in the site's ledger."""
    return site.state.ledger.rounds()


def run_rounds(sites: Sites, rounds: int, first: str | None = None) -> None:
    """Order ``rounds`` more rounds at one site and wait until every site has committed them."""
    starter = sites[first or next(iter(sites))]
    wanted = rounds_of(starter) + rounds
    order_rounds(starter, wanted)
    wait_until(
        lambda: all(rounds_of(site) >= wanted for site in sites.values()),
        f"not all sites committed round {wanted}",
    )
