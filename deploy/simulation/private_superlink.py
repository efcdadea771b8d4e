"""Start a SuperLink for one simulation, with its own port, home, and log."""

# `flwr run` alone would start a SuperLink on a fixed port that stays alive afterwards. A SuperLink
# of another user on that port would receive the run.

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.flower.pins import FLOWER
from deploy.flower.programs import program
from deploy.processes.family import ProcessFamily
from strategies.errors import SimulationError

CONNECTION = "private"
READY_WITHIN_SECONDS = 60.0


@dataclass(frozen=True)
class PrivateSuperLink:
    """A running SuperLink in simulation mode; ``flwr`` finds it as connection ``private``."""

    process: subprocess.Popen[bytes]
    port: int


def free_port() -> int:
    """Return a loopback port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_private_superlink(
    home: Path, environment: Mapping[str, str], members: ProcessFamily, log: Path
) -> PrivateSuperLink:
    """Start a SuperLink and wait until it answers; write the ``config.toml`` that points to it.

    ``home`` is the FLWR_HOME of ``environment``; the SuperLink's output goes to ``log``. Raises
    :class:`SimulationError` if it does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    # Another program may take a port between its choice and its use, hence several tries.
    for _ in range(5):
        port = free_port()
        process = members.start(
            [
                program("flower-superlink"),
                "--insecure",
                "--simulation",
                "--disable-runtime-dependency-installation",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ],
            environment,
            log,
        )
        if _answers(process, port):
            config = (
                f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
                f'address = "127.0.0.1:{port}"\ninsecure = true\n'
            )
            (home / "config.toml").write_text(config, encoding="utf-8")
            return PrivateSuperLink(process, port)
    raise SimulationError(
        f"flower-superlink did not start (its log: {log})",
        "a SuperLink that answers",
        f"read the log; `flower-superlink --version` must say {FLOWER}",
    )


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    # Without the environment's proxy, which cannot reach this loopback interface.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with opener.open(f"http://127.0.0.1:{port}/health", timeout=2.0):
                return process.poll() is None  # the answer may be another program's
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False
