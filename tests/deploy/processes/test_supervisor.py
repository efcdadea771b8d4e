"""A supervisor and a program that runs on demand: a knock starts it, and none is lost."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.processes.bell import Bell
from deploy.processes.company import STARTED, Company
from deploy.processes.supervisor import ProcessTable
from tests.deploy.supervised import supervised
from tests.support.waiting import wait_until

# It ends as soon as it has started, as a program does that finds nothing to do.
PROGRAM = f"import os; print(os.environ[{STARTED!r}], flush=True)"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    programs = {
        "answering": (sys.executable, "-c", PROGRAM),
        "staying": (sys.executable, "-c", "import time; time.sleep(100_000)"),
    }
    with supervised(tmp_path, programs, {"answering": ("a", "b")}):
        wait_until(lambda: (tmp_path / "up.json").exists(), "no notes")
        yield tmp_path


def starts(site: Path) -> list[float]:
    """Return when the supervisor has found the program needed, by what the program was told."""
    log = site / "logs" / "answering.log"
    return [float(line) for line in log.read_text().split()] if log.exists() else []


def test_program_on_demand_starts_at_a_knock_and_again_if_it_ends_too_early(site: Path) -> None:
    table = ProcessTable.model_validate_json((site / "up.json").read_bytes())
    assert {*table.programs} == {"staying"} and not starts(site)
    before = time.time()
    Bell(site / "bells" / "b").ring()
    wait_until(lambda: starts(site), "the knock was lost")
    assert before <= starts(site)[0] <= time.time()
    # It ends while the knock is remembered.  With the waits of a failure this would take a minute.
    wait_until(lambda: len(starts(site)) >= 8, "it was not started again")
    table = ProcessTable.model_validate_json((site / "up.json").read_bytes())
    assert table.restarts == {}, "it counts as no failure"
    log = (site / "logs" / "supervisor.jsonl").read_text()
    events = [json.loads(line) for line in log.splitlines()]
    assert not [event for event in events if event["event"] == "program-ended"]


def test_program_on_demand_starts_when_the_launcher_names_a_peer(site: Path) -> None:
    Company(site / "bells").want(["c"])
    wait_until(lambda: starts(site), "nobody was connected")
