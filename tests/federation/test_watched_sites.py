"""Real sites and their pages: each shows its own site, is kept running, and ends with it."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.page.starting import address_of
from deploy.processes.bell import Bell
from deploy.site.deployed_site import DeployedSite
from tests.support.sites import layout_of, programs_of, rounds_of, run_rounds, running_sites
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


def ask(site: DeployedSite, path: str) -> httpx.Response:
    """Return the answer of a site's page to those who have its token."""
    found = address_of(layout_of(site))
    assert found is not None
    token = found.entrance.partition("token=")[2]
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{found.url}{path}", headers=headers, trust_env=False)


def figure(site: DeployedSite, name: str) -> float:
    text = ask(site, "metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, f"no {name} in\n{text}"
    return float(found[1])


def memory(site: DeployedSite, program: str) -> float:
    """Return the memory of a program; one that has ended, as it was not needed, is called."""
    for bell in (next(peer for peer in site.federation.roster if peer != site.vendor), "worker"):
        Bell(layout_of(site).bells / bell).ring()
    name = f'srflm_program_memory_bytes{{program="{program}"}}'
    return figure(site, name) if name in ask(site, "metrics").text else 0.0


def answers(site: DeployedSite) -> bool:
    try:
        return ask(site, "healthz").text == "ok\n"
    except httpx.HTTPError:
        return False


def test_page_of_every_site_shows_the_run_and_ends_with_the_site(tmp_path: Path) -> None:
    federation = tiny_federation(
        tmp_path, ("a", "b", "c"), run__answer_deadline=600, run__work_deadline=3600
    )
    with running_sites(tmp_path / "f", federation) as sites:
        run_rounds(sites, 2)
        for site in sites.values():
            wait_until(lambda site=site: answers(site), "no page")
            wait_until(
                lambda site=site: figure(site, "srflm_ledger_head_term") == rounds_of(site) >= 2,
                "a page that stays behind",
            )
            assert figure(site, "srflm_ledger_valid") == 1
            assert figure(site, "srflm_up") == 1
            for program in ("launcher", "supernodes", "worker"):
                wait_until(lambda site=site, name=program: memory(site, name) > 0, program)
            peers = [peer for peer in sites if peer != site.vendor]
            assert all(figure(site, f'srflm_peer_up{{peer="{peer}"}}') == 1 for peer in peers)
            assert figure(site, "srflm_outgoing_bytes_total") > 0
            text = ask(site, "").text
            assert f"All {rounds_of(site)} records: links valid" in text
            assert "weights" in text, "what left the site"

        site = sites["a"]
        page = programs_of(site)["page"]
        os.kill(page, signal.SIGKILL)
        wait_until(lambda: programs_of(site).get("page") not in (None, page), "not started again")
        wait_until(lambda: answers(site), "no page after a kill")
        last = programs_of(site)["page"]
    assert not psutil.pid_exists(last), "it ends with its site"
