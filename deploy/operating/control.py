"""Bring a site up: check it, write its programs' configurations, start its supervisor."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from clients.files.durable import write_durably
from deploy.edge.nginx import log_reopening
from deploy.edge.ports import choose_ports, require_free
from deploy.edge.process import end_edge
from deploy.flower.bundle import installed_bundle
from deploy.flower.environment import site_environment
from deploy.identity.checks import check_identity
from deploy.membership.confirming import require_confirmed
from deploy.membership.roster import take_up_edition
from deploy.operating.programs import SitePrograms
from deploy.operating.running import kept_down, read_notes
from deploy.page.starting import require_port
from deploy.processes.family import kill_all
from deploy.processes.private import make_private, private_files
from deploy.processes.rereading import Rereading
from deploy.processes.supervisor import ProcessTable, SupervisorConfig, python_module
from deploy.site.deployed_site import SITE_VARIABLE, DeployedSite, site_anew, site_at
from deploy.site.layout import Layout
from deploy.site.privacy_files import adopt_own_ledger
from strategies.errors import ConfigurationError, DeploymentError

LEFTOVER_SECONDS = 10.0
UP_SECONDS = 60.0


@private_files()
def prepare(folder: Path, restored: bool = False) -> Path:
    """Check all that can go wrong at a start; return the path of the supervisor's configuration.

    ``restored`` is the operator's word that this site takes the place of one that is gone.
    Raises :class:`strategies.errors.SrflmError` for anything with which the site could not run.
    """
    site = site_at(folder.resolve())
    layout = Layout.of(site.settings)
    with kept_down(site.vendor, layout, folder):
        site.state.ledger.found_anew()
        if take_up_edition(site):
            site = site_anew(site.folder)
        return _prepare(site, layout, restored)


def _prepare(site: DeployedSite, layout: Layout, restored: bool) -> Path:
    federation = site.federation
    _require_deployed(site)
    check_identity(layout.identity, site.vendor, datetime.now(UTC), federation.roster)
    found = installed_bundle(layout.app)
    if found not in federation.bundles:
        raise ConfigurationError(
            f"srflm-flower {version('srflm-flower')} with Flower {version('flwr')}, whose code has"
            f" the bundle {found}",
            "the code that the federation has agreed on, with the bundle"
            f" {' or '.join(federation.bundles)}",
            "compare what `srflm --version` prints with the other members, and install the version"
            " that they use, unchanged; upgrades: docs/how-to/site.md",
        )
    require_confirmed(site)
    end_leftovers(site, layout)
    # An older version, or a copy that was put back, has left files that others can read.
    for folder in (layout.state, layout.run, layout.logs, layout.identity):
        make_private(folder)
    through = {federation.hash: len(site.state.ledger) + 1}
    adopted = adopt_own_ledger(site.settings, federation, through)
    if adopted is not None:
        site.log(f"the privacy ledger is in its owner's now; its file is kept: {adopted}")
    require_free(site.settings.listen)
    require_port(site.settings.page.port)
    ports = choose_ports(site.vendor, federation.roster, site.settings.ports)
    site.begin(restored)
    writer = SitePrograms(site, layout, ports)
    programs, pinned = writer.write(), writer.edge().pinned
    environment = site_environment(layout.flower_home) | {
        SITE_VARIABLE: str(site.folder),
        "MPLBACKEND": "Agg",
    }
    if site.settings.threads is not None:
        environment["OMP_NUM_THREADS"] = str(site.settings.threads)
    config = SupervisorConfig(
        vendor=site.vendor,
        site=site.folder,
        programs={each.name: tuple(each.command) for each in programs},
        on_demand={each.name: tuple(each.on_demand) for each in programs if each.on_demand},
        bells=layout.bells,
        environment=environment,
        folder=layout.run,
        logs=layout.logs,
        notes=layout.up,
        lock=layout.lock,
        daily=tuple(python_module("deploy.doctor.process", str(site.folder))),
        reopening=log_reopening(layout.edge),
        # With site keys the edge's program looks at the file before it shows it.
        rereading=Rereading(program="edge", file=layout.identity / "site.crt") if pinned else None,
    )
    path = layout.config("supervisor")
    write_durably(path, config.model_dump_json().encode(), private=True)
    return path


def end_leftovers(site: DeployedSite, layout: Layout) -> None:
    """End the programs of an earlier start whose supervisor and watchdog were killed.

    The caller holds the site's lock, so they belong to no site that is up.
    """
    end_edge(layout.edge)
    left = [process for process in psutil.process_iter() if _belongs(process, site)]
    kill_all(left, LEFTOVER_SECONDS)


def _belongs(process: psutil.Process, site: DeployedSite) -> bool:
    """Return whether a process is one of this site's programs."""
    try:
        mine = bool(process.environ().get(SITE_VARIABLE) == str(site.folder))
        return mine and process.pid != os.getpid()
    except (psutil.Error, OSError):
        return False


def _require_deployed(site: DeployedSite) -> None:
    if not site.federation.member(site.vendor).address:
        raise ConfigurationError(
            f"{site.settings.federation}, whose vendors have no address and no keys",
            "a federation file for a deployment",
            "have the consortium assemble one (docs/how-to/site.md), or try `srflm poc up`",
        )


def start_detached(config: Path, folder: Path) -> ProcessTable:
    """Start the supervisor in the background; return its notes once its programs run.

    Raises :class:`DeploymentError` when it ends at once.
    """
    layout = Layout.of(site_at(folder.resolve()).settings)
    layout.up.unlink(missing_ok=True)
    layout.logs.mkdir(parents=True, exist_ok=True)
    with (layout.logs / "supervisor.log").open("ab") as output:
        child = subprocess.Popen(  # it outlives this process
            python_module("deploy.processes.supervisor", str(config)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    until = time.monotonic() + UP_SECONDS
    while time.monotonic() < until and child.poll() is None:
        notes = read_notes(layout)
        if notes is not None:
            child.returncode = 0  # it is to outlive this process: Python need not warn of that
            return notes
        time.sleep(0.1)
    raise DeploymentError(
        f"the site did not start (its log: {layout.logs / 'supervisor.log'})",
        "programs that run",
        "read the log",
        DeploymentError.NOT_UP,
    )


def supervise_here(config: Path) -> None:
    """Become the supervisor: this process is replaced."""
    command = python_module("deploy.processes.supervisor", str(config))
    os.execv(sys.executable, command)
