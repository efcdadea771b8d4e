"""Faults of a site's memory: its state vanishes, an old copy is put back, it runs twice.

The operator then does as docs/how-to/site.md tells, so every site ends as a running one.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import tomlkit

from benchmarks.chaos_faults import bring_back, kill_site
from benchmarks.faults.clock import Clock
from deploy.edge.ports import LOOPBACK, free_block
from deploy.operating.running import bring_down
from deploy.site.deployed_site import DeployedSite, site_anew

# Files of running processes only: a site that starts makes them anew.
PASSING = shutil.ignore_patterns("run", "logs")


def lose_state(site: DeployedSite, attic: Path, seconds: float, clock: Clock) -> Path:
    """Take the state away from a running site, restart it later; return where the state is."""
    attic.mkdir(parents=True)
    # Renamed at once, as an unmounted disk: a folder that is deleted would be written to.
    gone = site.settings.state.rename(attic / "state")
    time.sleep(seconds)
    bring_down(site.folder)
    bring_back(site, clock)
    return gone


def copy_site(site: DeployedSite, folder: Path) -> Path:
    """Copy the folder of a site that is down; return the copy."""
    shutil.copytree(site.folder, folder, ignore=PASSING)
    return folder


def restore(site: DeployedSite, copy: Path, attic: Path, clock: Clock) -> DeployedSite:
    """Lose a site with its disk, and put an old copy of its whole folder in its place."""
    kill_site(site)
    attic.mkdir(parents=True)
    site.folder.rename(attic / "site")
    shutil.copytree(copy, site.folder)
    site = site_anew(site.folder)
    bring_back(site, clock, restored=True)
    return site


def run_twice(site: DeployedSite, folder: Path, seconds: float, clock: Clock) -> None:
    """Run a copy of a site beside it for some seconds, then the site alone."""
    kill_site(site)
    copy_site(site, folder)
    file = folder / "site.toml"
    settings = tomlkit.parse(file.read_text(encoding="utf-8"))
    settings["listen"] = f"{LOOPBACK}:{free_block(1)}"
    file.write_text(tomlkit.dumps(settings), encoding="utf-8")
    bring_back(site, clock)
    twin = site_anew(folder)
    try:
        bring_back(twin, clock)
        time.sleep(seconds)
    finally:
        bring_down(folder)
    # The twin was started later, so the others hear it rather than the site.
    bring_down(site.folder)
    bring_back(site, clock, restored=True)
