"""``srflm site init``: asks what is missing, refuses what cannot be right, keeps what is there."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

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
