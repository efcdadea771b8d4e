"""``srflm site init``: asks what is missing, refuses what cannot be right, keeps what is there."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from deploy.membership.request import read_request
from tests.deploy.membership.machines import Consortium
from tests.support.commands import SRFLM


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--vendor", "Aster", "--address", "a:1"), "'Aster'"),
        (("--vendor", "aster", "--address", "aster.example.org"), "aster.example.org"),
        (("--vendor", "aster", "--address", "https://aster:8443"), "https://aster:8443"),
        (("--vendor", "aster", "--address", "aster:99999"), "99999"),
        (("--vendor", "aster", "--address", "aster:8443", "--data", "/no/where"), "/no/where"),
        (("--vendor", "aster"), "no --address"),
        (("--vendor", "aster", "--address", "2001:db8::7"), "2001:db8::7"),
        (("--vendor", "aster", "--address", "a:1", "--listen", "a:1"), "listen = 'a:1'"),
        (("--vendor", "aster", "--address", "a:1", "--listen", "::1:1"), "listen = '::1:1'"),
    ],
)
def test_typing_error_is_found_when_it_is_typed(
    tmp_path: Path, options: tuple[str, ...], found: str
) -> None:
    data = () if "--data" in options else ("--data", "")
    consortium = Consortium(tmp_path)
    error = consortium.refused("site", "init", tmp_path / "site", *options, *data)
    assert found in error.found
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("address", "options", "listen"),
    [
        ("aster.example.org:8443", (), "0.0.0.0:8443"),
        ("192.0.2.7:443", (), "0.0.0.0:8443"),
        ("[2001:DB8::7]:443", (), "[::]:8443"),
        ("[2001:db8::7]:443", ("--listen", "[::1]:9443"), "[::1]:9443"),
    ],
)
def test_site_listens_by_the_kind_of_its_address(
    tmp_path: Path, address: str, options: tuple[str, ...], listen: str
) -> None:
    consortium = Consortium(tmp_path)
    given = ("--vendor", "aster", "--address", address, "--data", "", *options)
    consortium.srflm("site", "init", tmp_path / "site", *given)
    assert f'listen = "{listen}"' in (tmp_path / "site" / "site.toml").read_text()
    request = read_request(tmp_path / "site" / "aster.request.toml")
    assert request.host in ("aster.example.org", "192.0.2.7", "2001:db8::7")


def test_init_asks_at_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    terminal, other = pty.openpty()
    command = [SRFLM, "site", "init", "site"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=other, stdout=subprocess.PIPE) as running:
        os.write(terminal, b"aster\naster.example.org:8443\nimages\n")
        assert running.stdout is not None
        told = running.stdout.read().decode()
    assert running.returncode == 0, told
    assert told.count("host:port at which the others reach this site") == 1
    text = (tmp_path / "site" / "site.toml").read_text()
    assert f'data = "{tmp_path / "images"}"' in text and 'vendor = "aster"' in text


def test_init_again_keeps_keys_and_settings(tmp_path: Path) -> None:
    consortium = Consortium(tmp_path)
    consortium.init("aster")
    folder = consortium.site_folder("aster")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    (folder / "site.toml").write_text('vendor = "aster"\n# mine\n')
    consortium.init("aster")
    after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert after.pop(folder / "site.toml") == b'vendor = "aster"\n# mine\n'
    assert after == {p: data for p, data in before.items() if p.name != "site.toml"}
