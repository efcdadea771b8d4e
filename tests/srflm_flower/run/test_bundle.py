"""A run's model is handed on as a bundle with what the run's ledger says about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clients.models.model_file import read_model_file
from deploy.cli import app
from srflm_flower.results.bundle_record import record_of
from srflm_flower.results.release import released
from srflm_flower.run.bundle import bundle_of_run
from strategies.errors import ConfigurationError, PrivacyError, RunFolderError
from strategies.protocol.records import VendorPrivacy
from tests.support.tiny import conduct, new_run, records_of, tiny_federation


def test_bundle_of_a_run_has_its_record(tmp_path: Path) -> None:
    run = new_run(tiny_federation(tmp_path, ("a", "b", "c"), run__rounds=2), tmp_path / "run")
    conduct(run)
    federation, records = run.federation(), records_of(run)
    best = released(records, federation.task.metric)
    assert best is not None

    words = ("export", "--model", str(run.global_model), "--bundle", str(tmp_path / "bundle"))
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.exception
    readme = (tmp_path / "bundle" / "docs" / "README.md").read_text()
    for expected in (
        "vendors: a, b, c",
        f"2 rounds in {len(records)} terms; the {best.kind} model of term {best.term}",
        f"{federation.task.metric}: {best.value:.4g}, mean",
        "No differential privacy in this run.",
    ):
        assert expected in readme

    own = bundle_of_run(run.models / "a.safetensors", tmp_path / "own")
    assert own.model == "the personalised model of a" and not own.metrics
    copied = tmp_path / "elsewhere" / "models" / "g.safetensors"
    copied.parent.mkdir(parents=True)
    copied.write_bytes(run.global_model.read_bytes())
    assert not bundle_of_run(copied, tmp_path / "copy").vendors

    told = {"a": VendorPrivacy(epsilon=1.25, delta=1e-5, can_serve=True, can_train=True)}
    private = [*records[:-1], records[-1].model_copy(update={"privacy": told})]
    assert record_of(federation, private).epsilon == {"a": (1.25, 1e-5)}


def test_model_that_no_noise_covers_is_not_handed_on(tmp_path: Path) -> None:
    run = new_run(tiny_federation(tmp_path, ("a", "b", "c"), run__rounds=1), tmp_path / "run")
    conduct(run)
    file = read_model_file(run.models / "a.safetensors")
    replace(file, notes={**file.notes, "private": False}).write(tmp_path / "a.safetensors")
    with pytest.raises(PrivacyError, match="without noise"):
        bundle_of_run(tmp_path / "a.safetensors", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_model_without_a_folder_for_the_bundle_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", "--model", str(tmp_path / "m.safetensors")])
    assert isinstance(result.exception, ConfigurationError)
    with pytest.raises(RunFolderError):
        bundle_of_run(tmp_path / "m.safetensors", tmp_path / "bundle")
