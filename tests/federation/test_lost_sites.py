"""Real sites whose state vanishes while they run, or that run twice: no history is forked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tomlkit

from deploy.edge.ports import LOOPBACK, free_block
from deploy.operating.control import prepare, start_detached
from deploy.operating.running import bring_down
from deploy.operating.status import site_status
from deploy.site.deployed_site import DeployedSite, site_at
from deploy.site.verification import verify_site
from strategies.protocol.records import TermRecord
from tests.support.sites import Sites, rounds_of, run_rounds, running_sites
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]


def up_again(site: DeployedSite, restored: bool = False) -> None:
    """Restart a site, as an operator does."""
    bring_down(site.folder)
    start_detached(prepare(site.folder, restored), site.folder)


def histories(sites: Sites) -> list[tuple[str, ...]]:
    """Return the hashes of every site's ledger, verified."""
    return [verify_site(site).hashes for site in sites.values()]


def signers(record: TermRecord, site: DeployedSite) -> set[str]:
    """Return the vendors whose signatures commit a record in the site's ledger."""
    return {*site.state.ledger.committed(record.term, most=1)[0].certificate.acceptances}


def test_state_that_vanishes_and_a_site_that_runs_twice(tmp_path: Path) -> None:
    federation = tiny_federation(
        tmp_path, ("a", "b", "c"), run__answer_deadline=20, run__work_deadline=60
    )
    with running_sites(tmp_path / "sites", federation) as sites:
        run_rounds(sites, 1)
        others = {vendor: sites[vendor] for vendor in "ab"}

        # D1c of the review: the volume with the state is unmounted under a running site.
        state = sites["c"].settings.state
        state.rename(tmp_path / "unmounted")  # at once: a deleted folder would be written to
        run_rounds(others, 1)
        assert not (state / "ledger.sqlite").exists()
        head = sites["a"].state.ledger.last()
        assert head is not None
        assert signers(head, sites["a"]) == {"a", "b"}
        up_again(sites["c"])
        wait_until(lambda: rounds_of(sites["c"]) == 2, "c has not caught up")
        run_rounds(sites, 2)
        assert len({*histories(sites)}) == 1

        # D1d: a copy of the site is switched on beside it.
        copy = site_at(copy_of(sites["c"], tmp_path / "copy" / "c"))
        start_detached(prepare(copy.folder), copy.folder)
        try:
            run_rounds(others, 1)
            wait_until(
                lambda: any(site_status(each).silent for each in (sites["c"], copy)),
                "neither of the two sites says that it is one of two",
            )
            run_rounds(others, 1)
        finally:
            bring_down(copy.folder)
        up_again(sites["c"], restored=True)
        run_rounds(sites, 1)
        assert len({*histories(sites)}) == 1
        assert site_status(sites["c"]).contradictions == ()


def copy_of(site: DeployedSite, folder: Path) -> Path:
    """Return a copy of a running site's folder that listens at a port of its own."""
    shutil.copytree(site.folder, folder, ignore=shutil.ignore_patterns("run", "logs"))
    file = folder / "site.toml"
    settings = tomlkit.parse(file.read_text(encoding="utf-8"))
    settings["listen"] = f"{LOOPBACK}:{free_block(1)}"
    file.write_text(tomlkit.dumps(settings), encoding="utf-8")
    return folder
