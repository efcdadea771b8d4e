"""The page of a real site: on by default, off if its operator says so, on the port they name."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.edge.ports import free_block
from deploy.page.config import PageConfig
from deploy.page.starting import address_of, page_program, write_config
from deploy.processes.config import load_config
from deploy.processes.supervisor import ProcessTable
from deploy.site.layout import Layout
from deploy.site.settings import PageSettings, site_settings
from deploy.site.site_on_disk import SiteOnDisk, site_on_disk
from srflm_flower.federation.federation import Federation
from strategies.errors import ConfigurationError
from strategies.phases import PHASE_OF
from tests.support.deployed import DeployedFederation
from tests.support.tiny import tiny_federation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sites")
    return DeployedFederation(folder / "f", tiny_federation(folder, ("a", "b", "c"))).folders["a"]


@pytest.fixture
def site(folder: Path) -> SiteOnDisk:
    return site_on_disk(folder)


def with_page(site: SiteOnDisk, **fields: object) -> SiteOnDisk:
    page = PageSettings.model_validate(fields)
    return SiteOnDisk(site.folder, site.settings.model_copy(update={"page": page}))


def test_page_is_one_of_the_programs_by_default(site: SiteOnDisk) -> None:
    layout = Layout.of(site.settings)
    program = page_program(site, layout)
    assert program is not None and program.name == "page"
    config = load_config(PageConfig, Path(program.command[-1]))
    assert (config.vendor, config.first) == ("a", site.federation.first_edition)
    assert config.phases == PHASE_OF
    assert config.files.ledger == site.settings.state / "ledger.sqlite"
    assert stat.S_IMODE(config.token.stat().st_mode) == 0o600
    token = config.token.read_text().strip()
    assert token not in Path(program.command[-1]).read_text()
    assert token not in " ".join(program.command)
    found = address_of(layout)
    assert found is not None and found.entrance == f"{found.url}enter?token={token}"


def test_page_can_be_switched_off(site: SiteOnDisk) -> None:
    assert page_program(with_page(site, show=False), Layout.of(site.settings)) is None


def test_page_is_on_the_port_that_is_named_and_says_if_it_is_taken(site: SiteOnDisk) -> None:
    layout, port = Layout.of(site.settings), free_block(1)
    path = write_config(with_page(site, port=port), layout, "page", port)
    assert load_config(PageConfig, path).port == port
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ConfigurationError) as caught:
        write_config(site, layout, "page", port)
    assert str(port) in caught.value.found and "[page]" in caught.value.mend


def test_pages_settings_are_read_and_unknown_ones_refused() -> None:
    text = b'vendor = "a"\n[page]\nshow = true\nport = 8765\n'
    assert site_settings(text, Path("site.toml")).page.port == 8765
    for wrong in (b"port = 80", b"port = 70000", b'host = "0.0.0.0"'):
        with pytest.raises(ConfigurationError):
            site_settings(b'vendor = "a"\n[page]\n' + wrong, Path("site.toml"))


def test_page_is_no_part_of_the_federation() -> None:
    """A site's own setting changes nobody's identity."""
    assert "page" not in Federation.model_fields


def test_status_names_no_page_of_a_site_that_is_down(folder: Path) -> None:
    shown = CliRunner().invoke(app, ["status", str(folder), "--json"], catch_exceptions=False)
    assert json.loads(shown.output)["page"] is None


def test_status_prints_the_address_of_a_site_that_is_up(
    site: SiteOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.of(site.settings)
    page_program(site, layout)
    table = ProcessTable(supervisor=1, programs={"page": 1}, restarts={}, since=1.0)
    monkeypatch.setattr("deploy.operating.status.read_notes", lambda layout: table)
    monkeypatch.setattr("deploy.operating.status.peers_at", lambda *_: {})
    shown = CliRunner(env={"COLUMNS": "60"}).invoke(app, ["status", str(site.folder)])
    told = CliRunner().invoke(app, ["status", str(site.folder), "--json"])
    found = address_of(layout)
    assert found is not None
    assert f"Page: {found.url} " in shown.output, "whole, on one line: it is to be copied"
    assert json.loads(told.output)["page"] == found.url
    token = found.entrance.partition("token=")[2]
    assert token and token not in shown.output + told.output, "a status is handed on"
