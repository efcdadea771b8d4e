"""Flower's environment, set so that nothing is sent home, fetched, or shared with other runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

LOCAL = ("127.0.0.1", "localhost")

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""No telemetry, no update check, no `uv sync` from a package index before every run."""

FASTER = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1"}


def flower_environment(home: Path, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for Flower's programs: ``home`` instead of the user's ~/.flwr."""
    # Flower starts its helpers by name: they must be the ones beside this Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{base.get('PATH', os.defpath)}"
    own = {name: value for name, value in base.items() if name != "RAY_ADDRESS"}
    return {**own, **QUIET, **FASTER, **_direct(base), "FLWR_HOME": str(home), "PATH": path}


def _direct(base: Mapping[str, str]) -> dict[str, str]:
    """Return NO_PROXY and no_proxy: some programs read the one, some the other."""
    names = ("NO_PROXY", "no_proxy")
    hosts = [host.strip() for name in names for host in base.get(name, "").split(",")]
    direct = ",".join(dict.fromkeys([*filter(None, hosts), *LOCAL]))
    return dict.fromkeys(names, direct)
