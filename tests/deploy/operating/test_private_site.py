"""Other users of the machine cannot read, or lock, anything in a site's folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clients.privacy.ledger.ledger import ANCHOR_FILE, LEDGER_FILE, PrivacyLedger
from deploy.cli import app
from deploy.operating.control import prepare
from deploy.processes.private import private_files
from deploy.site.privacy_files import site_ledger
from tests.support.deployed import DeployedFederation
from tests.support.edges import needs_nginx
from tests.support.privacy_ledger import ONE, reserved
from tests.support.tiny import tiny_federation


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Use the umask of a user who closes nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> set[str]:
    """Return what lies in ``folder`` and has a permission for anybody but its owner."""
    return {
        path.relative_to(folder).as_posix()
        for path in (folder, *folder.rglob("*"))
        if stat.S_IMODE(path.lstat().st_mode) & 0o077
    }


@needs_nginx
def test_nothing_in_the_folder_of_a_site_is_open_to_others(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, ("a", "b", "c")))
    folder = sites.folders["a"]
    assert open_to_others(folder) == {"membership.toml"}, "public parts, to be sent"
    with private_files():  # as the site's programs do it: see test_private.py
        sites.order("a", rounds=2)
        for _ in range(2):
            sites.turn()
    old = folder / "state" / "models" / "from-an-older-version"
    old.write_bytes(b"")
    (folder / "state").chmod(0o755)
    (folder / "state" / "audit.lock").chmod(0o644)
    prepare(folder)
    assert old.exists() and (folder / "run" / "superexec.secret").exists()
    assert open_to_others(folder) == {"membership.toml"}


@needs_nginx
def test_start_enters_an_older_ledger_into_its_owners(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, ("a", "b")))
    settings = sites.site("a").settings
    older = PrivacyLedger(settings.state / LEDGER_FILE, settings.identity / ANCHOR_FILE)
    reserved(older, older.enrol(ONE))
    prepare(sites.folders["a"])
    assert len(site_ledger(settings).books().uses(ONE.hash)) == 1
    assert not older.path.exists()
    assert "owner" in (settings.state / "site.log").read_text()


def test_export_is_made_for_others_and_leaves_the_site_closed(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, ("a", "b")))
    folder, out = sites.folders["a"], tmp_path / "export"
    runner = CliRunner()
    for words in (["status", folder], ["roster", "withdraw", folder], ["verify", folder]):
        done = runner.invoke(app, [str(each) for each in words], catch_exceptions=False)
        assert done.exit_code == 0
        assert open_to_others(folder) == {"membership.toml"}
    with private_files():
        sites.order("a", rounds=2)
        sites.turn()
    assert runner.invoke(app, ["export", str(folder), "--out", str(out)]).exit_code == 0
    assert open_to_others(folder) == {"membership.toml"}
    files = [path for path in out.rglob("*") if path.is_file()]  # those of the package, too
    exported = {stat.S_IMODE(path.stat().st_mode) for path in files}
    assert exported == {0o666}, "the user's own umask, here 0"
