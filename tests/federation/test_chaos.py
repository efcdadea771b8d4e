"""Real sites under fire: whatever is killed, every term is committed once, at every site."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from benchmarks.chaos_faults import PROGRAMS, bring_back, kill_program, kill_site, serving_now
from deploy.run_orders import order_rounds
from srflm_flower.verification import verify_site
from tests.support.sites import rounds_of, running_sites, wait_until
from tests.support.tiny import tiny_federation

pytestmark = pytest.mark.slow
ROUNDS = 6


def test_every_program_and_the_serving_site_are_killed_and_no_term_is_lost(tmp_path: Path) -> None:
    federation = tiny_federation(
        tmp_path, ("a", "b", "c"), run__answer_deadline=20, run__work_deadline=60
    )
    chooser = random.Random(3)
    with running_sites(tmp_path / "sites", federation) as sites:
        order_rounds(sites["b"], ROUNDS)
        wait_until(lambda: serving_now(dict(sites)) is not None, 30, "nobody opened the term")
        victim = sites[str(serving_now(dict(sites)))]
        kill_site(victim)
        for name in PROGRAMS:
            others = [site for site in sites.values() if site is not victim]
            kill_program(chooser.choice(others), chooser, name)
            time.sleep(1.5)
        bring_back(victim)
        wait_until(
            lambda: all(rounds_of(site) >= ROUNDS for site in sites.values()),
            400,
            f"not all sites committed {ROUNDS} rounds",
        )
        found = [verify_site(site) for site in sites.values()]
        assert len({each.hashes for each in found}) == 1
        assert len(found[0].hashes) == ROUNDS
        assert len({each.head_model for each in found}) == 1
