"""A site's unit for systemd: few rights, no more to write than the site needs, signs of life."""

from __future__ import annotations

import configparser
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.operating import service
from deploy.operating.service import install_unit, quoted, unit_text
from deploy.processes.notify import ServiceManager
from deploy.site.settings import load_site
from strategies.errors import ConfigurationError
from tests.deploy.supervised import supervised
from tests.support.deployed import DeployedFederation
from tests.support.tiny import tiny_federation
from tests.support.waiting import PATIENCE_SECONDS

MOST_EXPOSED = 30
"""Of 100, as systemd-analyze counts (3.0 of 10); a service without any setting has 96."""
ANALYZE = shutil.which("systemd-analyze")
PROGRAMS = Path("/opt/srflm/bin")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service")
    return DeployedFederation(folder, tiny_federation(folder, ("a", "b"))).folders["a"]


def unit_of(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def with_site(site: Path, **changes: object) -> str:
    settings = load_site(site).model_copy(update=changes)
    return unit_text(settings, site, "srflm", PROGRAMS)


def test_unit_runs_the_site_as_its_user_and_after_the_network(site: Path) -> None:
    unit = unit_of(with_site(site))
    run = unit["Service"]
    assert run["User"] == "srflm"
    assert run["ExecStart"] == f'"/opt/srflm/bin/srflm" up "{site}"'
    assert (
        run["Environment"].startswith('"PATH=/opt/srflm/bin:')
        and ":/usr/sbin:" in run["Environment"]
    )
    assert "network-online.target" in unit["Unit"]["After"]
    assert unit["Install"]["WantedBy"] == "multi-user.target", "it survives a reboot"


def test_unit_gives_few_rights(site: Path) -> None:
    run = unit_of(with_site(site, device="cpu"))["Service"]
    assert run["NoNewPrivileges"] == "yes" and run["ProtectSystem"] == "strict"
    assert run["CapabilityBoundingSet"] == "" == run["AmbientCapabilities"]
    assert run["UMask"] == "0077" and run["PrivateDevices"] == "yes"
    assert run["ReadWritePaths"] == f'"{site}"', "the site's own folder, which has the rest"


def test_low_port_gpu_and_folders_elsewhere_get_what_they_need(site: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    elsewhere = {"state": tmp_path / "state", "logs": tmp_path / "state" / "not" / "yet"}
    text = with_site(site, listen="0.0.0.0:443", device="cuda", **elsewhere)
    run = unit_of(text)["Service"]
    assert run["AmbientCapabilities"] == run["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"
    assert run["PrivateDevices"] == "no"
    assert run["ReadWritePaths"] == f'"{site}" "{tmp_path / "state"}"'


@pytest.mark.parametrize("path", ['/srv/a"b', "/srv/a\nUser=root", "/srv/$HOME", "/srv/a\\b"])
def test_path_that_a_unit_would_read_as_something_else_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError):
        quoted(path)
    assert quoted("/srv/100 %") == '"/srv/100 %%"'


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not here")
def test_systemd_understands_the_unit_and_counts_it_as_hardened(site: Path, tmp_path: Path) -> None:
    assert ANALYZE is not None
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "srflm"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    settings = load_site(site).model_copy(update={"device": "cpu"})
    unit = tmp_path / "srflm-a.service"
    unit.write_text(unit_text(settings, site, "daemon", tmp_path / "bin"))
    quick = {"capture_output": True, "text": True, "timeout": PATIENCE_SECONDS}
    checked = subprocess.run([ANALYZE, "verify", str(unit)], **quick)  # type: ignore[call-overload]
    assert "srflm-a.service" not in checked.stdout + checked.stderr, "nothing to complain of"
    level = [ANALYZE, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit)]
    judged = subprocess.run(level, **quick)  # type: ignore[call-overload]
    assert judged.returncode == 0, judged.stdout[-400:]


def test_installing_as_the_owner_writes_the_unit(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(service.pwd, "getpwuid", lambda _: nobody)
    path = install_unit(site, tmp_path)
    assert path.name == "srflm-a.service"
    assert unit_of(path.read_text())["Service"]["User"] == "nobody"
    assert path.stat().st_mode & 0o777 == 0o644, "it has no secret"


def test_site_of_root_and_a_folder_without_rights_are_refused(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, nobody = pwd.getpwuid(0), pwd.getpwnam("nobody")
    monkeypatch.setattr(service.pwd, "getpwuid", lambda _: root)
    with pytest.raises(ConfigurationError, match="belongs to root"):
        install_unit(site, tmp_path)
    monkeypatch.setattr(service.pwd, "getpwuid", lambda _: nobody)
    with pytest.raises(ConfigurationError, match="may not write"):
        install_unit(site, tmp_path / "missing")


def test_command_names_what_comes_next(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.pwd, "getpwuid", lambda _: pwd.getpwnam("nobody"))
    done = CliRunner().invoke(app, ["up", str(site), "--install", "--units", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "systemctl enable --now srflm-a.service" in done.output


# ---- signs of life -----------------------------------------------------------------------------


class Manager:
    """A socket as systemd has one."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(PATIENCE_SECONDS)

    def heard(self) -> str:
        return self.socket.recv(100).decode()


def test_signs_of_life_come_in_half_the_time(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    own = ServiceManager.of({"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "100000"})
    assert own.pause == 0.05
    own.alive()
    own.alive()  # not due yet
    time.sleep(0.06)
    own.alive()
    own.ready()
    assert [manager.heard() for _ in range(3)] == ["WATCHDOG=1", "WATCHDOG=1", "READY=1"]
    manager.socket.close()


def test_without_systemd_nothing_happens() -> None:
    silent = ServiceManager.of({})
    silent.ready()
    silent.alive()
    gone = ServiceManager.of({"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "1"})
    gone.ready()


def test_supervisor_tells_when_its_programs_have_started(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    programs = {"sleeper": (sys.executable, "-c", "import time; time.sleep(100_000)")}
    told = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "1000000"}
    with supervised(tmp_path, programs, {}, {**os.environ, **told}):
        assert manager.heard() == "READY=1"
        assert (tmp_path / "up.json").exists(), "its programs have been started"
        assert manager.heard() == "WATCHDOG=1"
    manager.socket.close()
