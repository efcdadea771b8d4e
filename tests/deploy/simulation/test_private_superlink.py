from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from deploy.flower.environment import flower_environment
from deploy.flower.programs import program
from deploy.processes.family import process_family
from deploy.simulation import private_superlink
from deploy.simulation.private_superlink import free_port, start_private_superlink
from strategies.errors import SimulationError


def test_missing_program_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(SimulationError, match="pip install"):
        program("flower-that-is-not-there")


def test_environment_sends_nothing_home_and_fetches_nothing() -> None:
    environment = flower_environment(Path("/x"), {"PATH": "/bin", "RAY_ADDRESS": "10.0.0.1:6379"})
    assert environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert environment["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    assert environment["FLWR_HOME"] == "/x"
    assert "RAY_ADDRESS" not in environment  # somebody else's Ray cluster


@pytest.mark.parametrize(
    ("base", "direct"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "a.b"}, "a.b,127.0.0.1,localhost"),
        ({"no_proxy": "a.b, localhost"}, "a.b,localhost,127.0.0.1"),
        ({"NO_PROXY": "a.b,c", "no_proxy": "c,d"}, "a.b,c,d,127.0.0.1,localhost"),
    ],
)
def test_nothing_local_goes_through_a_proxy(base: dict[str, str], direct: str) -> None:
    environment = flower_environment(Path("/x"), base)
    assert environment["NO_PROXY"] == environment["no_proxy"] == direct


@pytest.mark.slow
def test_port_taken_in_between_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr(private_superlink, "free_port", lambda: next(ports))
        home, log = tmp_path / "home", tmp_path / "superlink.log"
        environment = flower_environment(home)
        with process_family(os.environ, tmp_path / "log") as members:
            superlink = start_private_superlink(home, environment, members, log)
            assert superlink.port != taken.getsockname()[1]
        assert log.exists() and (home / "config.toml").exists()
