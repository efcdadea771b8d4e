"""Real sites, of which the elected one cannot read its images: the next one serves at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomlkit

from deploy.operating.control import prepare, start_detached
from deploy.operating.local_consortium import bring_up_all, make_or_open
from deploy.operating.running import bring_down
from deploy.site.deployed_site import site_anew
from strategies.errors import DataError
from tests.support.attacks.rogue import head_of
from tests.support.sites import Sites, run_rounds
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


def votes_in_a_round(vendor: str, starter: str, sites: Sites) -> bool:
    """Run a round, ordered at ``starter``; return whether ``vendor`` took part in it."""
    run_rounds(sites, 1, first=starter)
    return vendor in head_of(sites).ballots


def test_next_site_serves_before_any_time_out(tmp_path: Path) -> None:
    """Before the first term the others would wait for an hour, the deadline of a term's work."""
    federation = tiny_federation(
        tmp_path, ("a", "b", "c"), run__answer_deadline=600, run__work_deadline=3600
    )
    sites = make_or_open(tmp_path / "sites", federation)
    first, second, _ = federation.first_ranking
    file = sites[first].folder / "site.toml"
    honest = file.read_text(encoding="utf-8")
    settings = tomlkit.parse(honest)
    settings["data"] = str(tmp_path / "unmounted" / "images.npz")
    file.write_text(tomlkit.dumps(settings), encoding="utf-8")
    sites[first] = site_anew(sites[first].folder)
    try:
        assert bring_up_all(sites) == {}
        run_rounds(sites, 1, first=second)
        record = head_of(sites)
        assert (record.server, record.attempt) == (second, 1)
        assert record.lost_servers == (first,)
        assert DataError.MISSING in {a.code for a in record.absences if a.vendor == first}
        assert str(tmp_path) not in record.model_dump_json(), "no path leaves the site"

        # Its operator mends it.
        bring_down(sites[first].folder)
        file.write_text(honest, encoding="utf-8")
        start_detached(prepare(sites[first].folder), sites[first].folder)
        # Rounds go on without it while its programs start, and a round of this size takes a second.
        wait_until(lambda: votes_in_a_round(first, second, sites), f"{first} takes no part again")
    finally:
        for site in sites.values():
            bring_down(site.folder)
