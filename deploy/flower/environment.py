"""Environment variables for Flower's programs: no telemetry, no downloads, nothing shared."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.processes.children import environment_with

LOCAL = ("127.0.0.1", "localhost")
# Some programs read the first name, some the second.
NO_PROXY = ("NO_PROXY", "no_proxy")
ALL_DIRECT = dict.fromkeys(NO_PROXY, "*")
_ONE_AT_A_TIME = threading.RLock()

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    # Otherwise Flower calls `uv sync` before every run, which fetches packages from an index.
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

FASTER = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1"}  # seconds; Flower's default is one


def flower_environment(home: Path, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for Flower's programs: ``home`` instead of the user's ~/.flwr."""
    # Flower starts its helpers by name; the first ones found must be those beside this Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{base.get('PATH', os.defpath)}"
    # With RAY_ADDRESS a simulation would join the user's Ray cluster.
    own = {name: value for name, value in base.items() if name != "RAY_ADDRESS"}
    return {**own, **QUIET, **FASTER, **_direct(base), "FLWR_HOME": str(home), "PATH": path}


def site_environment(home: Path, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for the programs of a site: Flower's, without any proxy.

    They call each other on this machine, and nginx, which reads no such variables, calls the peers.
    """
    # NO_PROXY for 127.0.0.1 is not enough: with ALL_PROXY=socks5://…, or a NO_PROXY that it cannot
    # read ("[::1]"), httpx raises an error before it looks at an address.
    own = {k: v for k, v in base.items() if not k.lower().endswith("_proxy")}
    return flower_environment(home, own) | ALL_DIRECT


@contextmanager
def directly() -> Iterator[None]:
    """Let the HTTP clients that are made in this block use no proxy of the environment.

    Flower's own classes make them, and do not let their caller choose.
    """
    with _ONE_AT_A_TIME, environment_with(ALL_DIRECT):
        yield


def _direct(base: Mapping[str, str]) -> dict[str, str]:
    """Return NO_PROXY and no_proxy with the loopback hosts added."""
    hosts = [host.strip() for name in NO_PROXY for host in base.get(name, "").split(",")]
    direct = ",".join(dict.fromkeys([*filter(None, hosts), *LOCAL]))
    return dict.fromkeys(NO_PROXY, direct)
