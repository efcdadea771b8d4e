"""The doctor on sites that really run: it takes them for healthy, and notices one that is gone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from deploy.doctor.examination import examine
from deploy.operating.running import bring_down
from deploy.processes.supervisor import python_module
from deploy.site.diagnosis import last_diagnosis
from strategies.errors import DeploymentError
from tests.deploy.doctor.examined_site import flagged
from tests.support.commands import SRFLM, run
from tests.support.edges import needs_nginx
from tests.support.sites import layout_of, running_sites
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, needs_nginx]


def test_running_sites_are_healthy_until_one_is_gone(tmp_path: Path) -> None:
    federation = tiny_federation(
        tmp_path, ("a", "b", "c"), run__work_deadline=36_000, run__answer_deadline=60
    )
    with running_sites(tmp_path / "f", federation) as sites:
        folder = sites["a"].folder
        # On a busy machine a peer may be slow to answer once.
        wait_until(lambda: flagged(examine(folder)) == set(), "healthy sites are not in order")
        found = last_diagnosis(folder / "state")
        assert found is not None
        lines = {line.code: line for line in found.lines}
        assert "with the agreed key" in lines["port.in"].finding
        assert "a round" in lines["network.round"].finding
        assert "2 peers" in lines["clock.peers"].finding

        # What the supervisor is to start every day.
        config = json.loads(layout_of(sites["a"]).config("supervisor").read_text())
        assert config["daily"] == python_module("deploy.doctor.process", str(folder.resolve()))
        assert config["daily"][0] == sys.executable
        ended = run(config["daily"], folder)
        assert "errors" in ended.stdout, ended.stderr
        again = last_diagnosis(folder / "state")
        assert again is not None and again.quick and again.time > found.time

        gone = sites["c"].folder
        bring_down(gone)
        wait_until(
            lambda: flagged(examine(folder, quick=True)) == {("peer.reached", "warning")},
            "the site that is down was not noticed",
        )
        (warning,) = examine(folder, quick=True).of("warning")
        assert warning.about == "c"

        # Its operator makes a mistake before it comes up again: that stays at that site.
        data = (gone / "federation.toml").read_text()
        (gone / "federation.toml").write_text(data.replace("tiny.npz", "tyni.npz"))
        refused = run([SRFLM, "up", "--detach", gone], gone)
        assert refused.returncode == 1
        assert f"Error {DeploymentError.NOT_UP}" in refused.stderr
        assert "data.path" in refused.stdout and "site.toml" in refused.stdout
        (gone / "federation.toml").write_text(data)
        started = run([SRFLM, "up", "--detach", gone], gone)
        assert started.returncode == 0, started.stdout + started.stderr
        assert "Up (process" in started.stdout
