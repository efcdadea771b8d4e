from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from deploy import private_superlink
from deploy.flower_environment import flower_environment
from deploy.private_superlink import free_port, program, start_private_superlink
from deploy.processes import process_family
from srflm_flower.errors import SimulationError


def test_missing_program_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(SimulationError, match="pip install"):
        program("flower-that-is-not-there")


def test_environment_sends_nothing_home_and_fetches_nothing() -> None:
    environment = flower_environment(Path("/x"), {"PATH": "/bin", "RAY_ADDRESS": "10.0.0.1:6379"})
    assert environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert environment["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    assert environment["FLWR_HOME"] == "/x"
    assert "RAY_ADDRESS" not in environment  # somebody else's Ray cluster


@pytest.mark.slow
def test_port_taken_in_between_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr(private_superlink, "free_port", lambda: next(ports))
        environment = flower_environment(tmp_path)
        with process_family(os.environ, tmp_path / "log") as members:
            superlink = start_private_superlink(tmp_path, environment, members)
            assert superlink.port != taken.getsockname()[1]
