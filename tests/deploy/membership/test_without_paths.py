"""The file that members agree on needs no vendor's path, and holds no machine's."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.membership.consortium import assemble
from deploy.membership.joining import new_site
from srflm_flower.federation.loading import load_federation
from srflm_flower.federation.preflight import check_before_simulation
from strategies.errors import ConfigurationError
from tests.support.federation_files import loaded

AGREED = """
name = "nodules"
[task]
classes = ["benign", "malignant"]
[data]
source = "files"
image-size = 32
[[vendors]]
name = "aster"
[[vendors]]
name = "borealis"
"""


def test_identity_does_not_depend_on_paths(tmp_path: Path) -> None:
    with_paths = AGREED.replace('"aster"', '"aster"\npath = "x"')
    assert loaded(tmp_path, AGREED).hash == loaded(tmp_path, with_paths).hash


def test_simulation_demands_every_path_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_before_simulation(loaded(tmp_path, AGREED))
    assert "vendors.aster.path" in caught.value.found
    assert "vendors.borealis.path" in caught.value.found
    assert "site.toml" in caught.value.mend


def test_check_says_what_it_could_not_check(tmp_path: Path) -> None:
    loaded(tmp_path, AGREED)
    told = CliRunner().invoke(app, ["config", "check", str(tmp_path / "federation.toml")])
    assert told.exit_code == 0, told.output
    assert "Not checked: the data of aster, borealis" in told.output
    assert "The federation file is valid" in told.output


def test_assembled_file_holds_no_path_of_a_machine(tmp_path: Path) -> None:
    base = loaded(tmp_path, AGREED.replace('"aster"', '"aster"\npath = "images"'))
    assert base.member("aster").path == tmp_path / "images"
    files = [
        new_site(tmp_path / v, v, base.roster, "127.0.0.1:8443", f"{v}.example.org:8443")
        for v in base.roster
    ]
    answers = assemble(tmp_path / "ca", base, files)
    text = (answers["aster"] / "federation.toml").read_text()
    assert str(tmp_path) not in text and "path" not in text
    assert load_federation(answers["aster"] / "federation.toml").data == base.data
