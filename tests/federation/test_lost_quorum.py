"""Real sites that lose half of their federation for good go on by what docs/how-to/site.md says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from deploy.operating.running import bring_down
from deploy.site.deployed_site import site_anew
from tests.support.attacks.rogue import head_of
from tests.support.commands import SRFLM, run
from tests.support.sites import rounds_of, run_rounds, running_sites
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]
LAST_RECORD = re.compile(r"last record (\d+:[0-9a-f]{64})")


def test_two_of_four_go_on_when_the_others_are_lost(tmp_path: Path) -> None:
    federation = tiny_federation(
        tmp_path, ("a", "b", "c", "d"), run__answer_deadline=20, run__work_deadline=60
    )
    with running_sites(tmp_path / "sites", federation) as sites:
        folder = {vendor: str(site.folder) for vendor, site in sites.items()}

        def srflm(*words: str, fails: bool = False) -> str:
            done = run([SRFLM, *words], tmp_path)
            assert (done.returncode != 0) == fails, (words, done.stdout, done.stderr)
            return " ".join((done.stdout + done.stderr).split())

        run_rounds(sites, 2)
        before = head_of(sites)
        found = LAST_RECORD.search(srflm("verify", folder["a"]))
        assert found is not None
        begin = ("roster", "recover", folder["a"], "recovery.json", "--head", found[1], "--lost")
        bring_down(sites["d"].folder)
        refused = srflm(*begin, "d", fails=True)
        assert "a quorum that can vote" in refused and not (tmp_path / "recovery.json").exists()

        # A fire at two hospitals.
        bring_down(sites["c"].folder)
        for vendor in "cd":
            for lost in ("state", "identity"):
                shutil.rmtree(sites[vendor].folder / lost)
        assert "Send recovery.json to b" in srflm(*begin, "c,d")
        early = ("roster", "recover", folder["a"], "recovery.json", "--apply")
        srflm("down", folder["a"])
        assert "did not sign" in srflm(*early, fails=True)
        srflm("up", "--detach", folder["a"])
        assert "All have signed" in srflm("roster", "recover", folder["b"], "recovery.json")
        for vendor in "ab":
            srflm("down", folder[vendor])
            told = srflm("roster", "recover", folder[vendor], "recovery.json", "--apply")
            assert "the members are a, b" in told
            srflm("up", "--detach", folder[vendor])
        remain = {vendor: site_anew(sites[vendor].folder) for vendor in "ab"}
        srflm("run", folder["a"], "--rounds", "2")
        wait_until(lambda: min(map(rounds_of, remain.values())) == 4, "not gone on")
        head = head_of(remain)
        assert head.parent is not None and sorted(head.ranking) == ["a", "b"]
        for vendor, site in remain.items():
            assert site.state.ledger.records()[before.term - 1] == before
            told = srflm("verify", folder[vendor])
            assert f"recovered after term {before.term}, when the quorum was lost" in told
            assert "signed by a, b" in told
