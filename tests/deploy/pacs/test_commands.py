"""`srflm data pull` and `store` as a user runs them, and the way from there to a manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from clients.data.manifest.rows import MANIFEST, read_manifest
from deploy.cli import app
from deploy.pacs.fetching import name_of
from deploy.pacs.pulling import TABLE
from strategies.errors import ConfigurationError, PacsError
from tests.deploy.pacs.made_up_pacs import MadeUpPacs
from tests.deploy.pacs.test_storing import result

FEDERATION = """
name = "lungs"
vendors = [{ name = "a", path = "lung" }, { name = "b", path = "lung" }]
[task]
kind = "segmentation"
classes = ["background", "lung"]
spatial-dims = 3
[data]
source = "files"
image-size = 16
[model]
network = "UNet"
arguments = { channels = [4, 8], strides = [2] }
"""


@pytest.fixture
def site(pacs: MadeUpPacs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a site's folder, in which the commands run."""
    (tmp_path / "query.toml").write_text('modality = ["MR"]\n')
    (tmp_path / "account.toml").touch(mode=0o600)
    (tmp_path / "account.toml").write_text("token = 'abc'\n")
    table = f'address = "{pacs.address}"\ncredentials = "account.toml"\n'
    (tmp_path / "site.toml").write_text(f'vendor = "a"\n[pacs]\n{table}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state-home"))
    return tmp_path


def invoke(*words: object, code: int = 0) -> Result:
    ended = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert ended.exit_code == code, ended.output
    return ended


def test_pull_says_what_came(pacs: MadeUpPacs, site: Path) -> None:
    output = invoke("data", "pull", "query.toml", "images").output
    assert "4 series: 4 fetched, 0 were there already, 0 left out. 12 images came" in output
    assert f"images/{TABLE} says which folder" in output
    assert pacs.headers[0]["authorization"] == "Bearer abc"
    again = invoke("data", "pull", "query.toml", "images", "--json").stdout
    told = json.loads(again)
    assert (told["before"], told["whole"], told["not-whole"], told["images"]) == (4, 0, 0, 0)


def test_dry_run_counts_and_makes_nothing(pacs: MadeUpPacs, site: Path) -> None:
    output = invoke("data", "pull", "query.toml", "images", "--dry-run").output
    assert "The query finds 4 series (4 MR) with 12 images" in output
    assert pacs.images_asked == [] and not (site / "images").exists()


def test_series_that_is_left_out_is_told_and_the_exit_code_is_1(
    pacs: MadeUpPacs, site: Path
) -> None:
    first = next(iter(pacs.files))[2]
    pacs.answer = lambda handler: (
        handler.path.endswith(first) and handler.send(b"", "text/plain", 404) is None
    )
    output = invoke("data", "pull", "query.toml", "images", code=1).output
    assert "3 fetched, 0 were there already, 1 left out" in output
    assert "Could not be fetched: 1 images; the PACS answers with the status 404" in output


def test_what_does_not_fit_is_told(pacs: MadeUpPacs, site: Path) -> None:
    (site / "query.toml").write_text('modality = ["MR"]\nbody-part = "LIVER"\n')
    with pytest.raises(PacsError, match="4 series whose body part is not told"):
        invoke("data", "pull", "query.toml", "images")


def test_site_without_a_pacs_is_told_how_to_name_one(site: Path) -> None:
    (site / "site.toml").write_text('vendor = "a"\n')
    for words in (("pull", "query.toml", "images"), ("store", "query.toml")):
        with pytest.raises(ConfigurationError, match=r"no \[pacs\]"):
            invoke("data", *words)


def test_results_are_stored_if_the_site_allows_it(pacs: MadeUpPacs, site: Path) -> None:
    path = result(site / "result.dcm")
    with pytest.raises(ConfigurationError, match="store-results"):
        invoke("data", "store", path)
    with (site / "site.toml").open("a") as file:
        file.write("store-results = true\n")
    assert "Stored 1 file(s)" in invoke("data", "store", path).output
    assert len(pacs.stored) == 1


def test_pulled_folder_has_the_manifest_of_the_files(pacs: MadeUpPacs, site: Path) -> None:
    """Masks are named after the series' folders, as the how-to page says."""
    nibabel = pytest.importorskip("nibabel")
    (site / "federation.toml").write_text(FEDERATION)
    invoke("data", "pull", "query.toml", "lung/images")
    for study, series, image in pacs.files:
        copied = site / "copied" / "images" / name_of(series) / f"{image}.dcm"
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(pacs.files[study, series, image])
        for root in ("lung", "copied"):
            (site / root / "masks").mkdir(exist_ok=True)
            mask = nibabel.Nifti1Image(np.ones((8, 8, 3), np.uint8), np.eye(4))
            nibabel.save(mask, site / root / "masks" / f"{name_of(series)}.nii.gz")
    for root in ("lung", "copied"):
        invoke("data", "index", root, "federation.toml")
    rows = read_manifest(site / "lung" / MANIFEST)
    assert rows == read_manifest(site / "copied" / MANIFEST) and len(rows) == 4
