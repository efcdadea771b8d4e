"""Real sites without a run give back the memory of Flower and torch, and are there when asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.operating.running import read_notes
from deploy.serving.own_superlink import peers_at
from deploy.site.deployed_site import DeployedSite
from tests.support.sites import layout_of, programs_of, run_rounds, running_sites
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
ON_DEMAND = {"supernodes", "worker"}


def is_idle(site: DeployedSite) -> bool:
    return not ON_DEMAND & {*programs_of(site)}


def test_idle_sites_end_two_programs_and_take_the_next_order_all_the_same(tmp_path: Path) -> None:
    federation = tiny_federation(
        tmp_path, ("a", "b", "c"), run__answer_deadline=600, run__work_deadline=3600
    )
    with running_sites(tmp_path / "f", federation) as sites:
        for first in ("a", "b"):
            run_rounds(sites, 1, first)
            for site in sites.values():
                wait_until(lambda site=site: is_idle(site), f"{site.vendor} gives nothing back")
        for site in sites.values():
            peers = [peer for peer in sites if peer != site.vendor]
            wait_until(
                lambda site=site, peers=peers: (
                    {*peers_at(layout_of(site), peers).values()} <= {"reachable", "online"}
                ),
                "a site that rests counts as silent",
            )
            notes = read_notes(layout_of(site))
            assert notes is not None and notes.restarts == {}, "an end that was no failure"
