"""Real sites under fire: whatever is killed, every term is committed once, at every site.

They train with differential privacy: what breaks off is spent all the same.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos_faults import PROGRAMS, bring_back, kill_program, kill_site, serving_now
from clients.privacy.accounting.accounting import epsilon
from deploy.operating.run_orders import order_rounds
from deploy.site.deployed_site import DeployedSite
from deploy.site.privacy_files import site_ledger
from deploy.site.verification import verify_site
from strategies.protocol.records import TermRecord
from tests.support.sites import rounds_of, running_sites
from tests.support.tiny import tiny_federation
from tests.support.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow
ROUNDS = 6
SIZE = 20
PRIVACY: dict[str, Any] = {
    "unit": "record",
    "epsilon": 50.0,
    "delta": 1e-3,
    "batch-size": 8,
    "client-steps": 2,
    "server-steps": 2,
    "client-noise": 2.0,
    "server-noise": 2.0,
}


def test_every_program_and_the_serving_site_are_killed_and_no_term_is_lost(tmp_path: Path) -> None:
    federation = tiny_federation(
        tmp_path,
        ("a", "b", "c"),
        # Servers wait so long for a site that was killed; what fails for it is tried again.
        run__answer_deadline=20,
        run__work_deadline=60,
        vendors=[{"name": name, "size": SIZE} for name in "abc"],
        privacy=PRIVACY,
    )
    chooser = random.Random(3)
    with running_sites(tmp_path / "sites", federation) as sites:
        order_rounds(sites["b"], ROUNDS)
        wait_until(lambda: serving_now(dict(sites)) is not None, "nobody opened the term")
        victim = sites[str(serving_now(dict(sites)))]
        kill_site(victim)
        for name in PROGRAMS:
            others = [site for site in sites.values() if site is not victim]
            kill_program(chooser.choice(others), chooser, name)
            time.sleep(1.5)  # the next one strikes while this one is being mended, or after
        bring_back(victim, within=PATIENCE_SECONDS)
        wait_until(
            lambda: all(rounds_of(site) >= ROUNDS for site in sites.values()),
            f"not all sites committed {ROUNDS} rounds",
        )
        found = [verify_site(site) for site in sites.values()]
        assert len({each.hashes for each in found}) == 1
        assert len(found[0].hashes) == ROUNDS
        assert len({each.head_model for each in found}) == 1
        records = sites["a"].state.ledger.records()
        for vendor, site in sites.items():
            check_spent(vendor, site, records)


def check_spent(vendor: str, site: DeployedSite, records: Sequence[TermRecord]) -> None:
    """Check that the site's ledger has every training that a record tells of, and maybe more."""
    books = site_ledger(site.settings).books()
    uses = [use for name in books.sizes for use in books.uses(name)]
    for record in records:
        purposes = {use.purpose for use in uses if use.term == record.term}
        assert vendor not in record.clients or "client" in purposes
        assert vendor != record.server or "server" in purposes
    told = [record.privacy[vendor].epsilon for record in records if vendor in record.privacy]
    assert told == sorted(told)
    training = [use.mechanism for use in uses if use.purpose in ("client", "server")]
    spent = epsilon(training, PRIVACY["delta"])
    assert told[-1] <= spent + 0.01
    assert spent <= PRIVACY["epsilon"]
