"""No program outlives its site: not when all others are killed at once, the watchdog too."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from collections.abc import Collection
from pathlib import Path

import psutil
import pytest

from benchmarks.chaos_faults import bring_back, processes_of
from deploy.edge.nginx import split_address
from deploy.processes.bell import Bell
from deploy.processes.family import TAG, family, is_alive
from deploy.site.deployed_site import DeployedSite
from tests.support.sites import layout_of, processes_about, programs_of, running_sites
from tests.support.tiny import tiny_federation
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the watchdog ends a site"),
]
LAST = ("superlink", "supernodes", "supernode", "worker", "launcher", "edge", "page")


def everything_of(site: DeployedSite) -> set[psutil.Process]:
    """Return the supervisor, its watchdog, all programs, and what those have started."""
    supervisor = psutil.Process(programs_of(site)["supervisor"])
    found = {supervisor, *supervisor.children(recursive=True)}
    for child in supervisor.children():
        with contextlib.suppress(psutil.Error):
            found |= family(child.environ().get(TAG, ""))
    return found


def busy(site: DeployedSite) -> dict[str, list[psutil.Process]]:
    """Return the processes of a site, none of which ends now because it has nothing to do."""
    for name in ("b", "worker"):
        Bell(layout_of(site).bells / name).ring()
    return processes_of(site)


def kill_at_once(processes: Collection[psutil.Process]) -> None:
    """Kill processes before any of them can notice the end of another."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)


def is_free(address: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(split_address(address)) != 0


def test_nothing_outlives_a_site(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path, ("a", "b"))
    with running_sites(tmp_path / "sites", federation) as sites:
        site, folder = sites["a"], str(sites["a"].folder)
        for last in LAST:
            wait_until(lambda: {*LAST} <= {*busy(site)}, "a program is missing")
            kept = busy(site)[last]
            everything = {*kept} | everything_of(site)
            kill_at_once(everything - {*kept})
            wait_until(lambda left=kept: not any(map(is_alive, left)), f"{last} lives on")
            wait_until(lambda: is_free(site.settings.listen), f"a port is held after {last}")
            wait_until(lambda: not processes_about(f"{folder}/"), f"something lives on with {last}")
            bring_back(site)
        kill_at_once(everything_of(site))
        wait_until(lambda: is_free(site.settings.listen), "the port is held")
        wait_until(lambda: not processes_about(f"{folder}/"), "something lives on")
