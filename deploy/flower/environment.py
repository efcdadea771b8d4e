"""Environment variables for Flower's programs: no telemetry, no downloads, nothing shared."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

LOCAL = ("127.0.0.1", "localhost")

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


def _direct(base: Mapping[str, str]) -> dict[str, str]:
    """Return NO_PROXY and no_proxy with the loopback hosts added."""
    # Some programs read the first name, some the second.
    names = ("NO_PROXY", "no_proxy")
    hosts = [host.strip() for name in names for host in base.get(name, "").split(",")]
    direct = ",".join(dict.fromkeys([*filter(None, hosts), *LOCAL]))
    return dict.fromkeys(names, direct)
