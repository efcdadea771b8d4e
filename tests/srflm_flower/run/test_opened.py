"""What a user of Python reads from a run's folder is what the run has written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import srflm_flower
from clients.models.model_file import load_model
from srflm_flower.run.rows import Rows
from strategies.errors import ConfigurationError, DataError, RunFolderError
from tests.support.tiny import conduct, new_run, private, records_of, tiny_federation

VENDORS = ("a", "b", "c")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> srflm_flower.Run:
    """Return a finished run."""
    folder = tmp_path_factory.mktemp("opened")
    path = new_run(tiny_federation(folder, VENDORS), folder / "run")
    conduct(path)
    return srflm_flower.Run(path.path)


def test_tables_say_what_the_ledger_and_the_summary_say(run: srflm_flower.Run) -> None:
    from srflm_flower.run.folder import RunFolder

    records, summary = records_of(RunFolder(run.path)), run.summary
    assert summary is not None and run.outcome == "3 of 3 terms" in repr(run)
    assert [row["server"] for row in run.terms()] == [r.server for r in records]
    assert [row["elected"] for row in run.terms()] == [r.server for r in records]
    accuracy = run.curves("accuracy")
    assert len(accuracy) == 3 * 3 * 3, "terms, vendors, kinds of model"
    (row,) = accuracy.where(term=2, vendor="b", model="finetuned")
    assert row["value"] == records[1].metrics["b"].finetuned["accuracy"]
    assert len(run.curves()) > len(accuracy)
    (row,) = run.metrics().where(vendor="c", model="released", metric="accuracy")
    assert row["value"] == summary.vendors["c"].released["accuracy"]
    assert run.epsilon() == []
    assert set(run.models) == {"global", *VENDORS}


def test_rows_become_a_data_frame(run: srflm_flower.Run) -> None:
    pytest.importorskip("pandas")
    frame = run.curves("accuracy").where(model="averaged").frame()
    table = frame.pivot(index="term", columns="vendor", values="value")
    assert table.shape == (3, 3) and list(table.columns) == list(VENDORS)


def test_without_pandas_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match="without pandas") as raised:
        Rows([{"a": 1}]).frame()
    assert "srflm-flower[frames]" in raised.value.mend


def test_epsilon_is_that_of_the_records(tmp_path: Path) -> None:
    folder = new_run(private(tmp_path, run__rounds=1), tmp_path / "run")
    conduct(folder)
    run = srflm_flower.Run(folder.path)
    told = {row["vendor"]: row["epsilon"] for row in run.epsilon()}
    assert told == {v: each.epsilon for v, each in run.records[-1].privacy.items()} != {}


def test_model_knows_its_classes_and_reads_images_as_training_did(
    run: srflm_flower.Run, tmp_path: Path
) -> None:
    model = run.model()
    assert model.classes == ("rows", "columns", "flat") and not model.training
    pixels = np.tile(np.linspace(40, 160, 8).astype(np.uint8), (8, 1))
    Image.fromarray(pixels).save(tmp_path / "image.png")
    found = model.probabilities(tmp_path / "image.png")
    assert set(found) == set(model.classes) and sum(found.values()) == pytest.approx(1)
    images = torch.from_numpy(pixels / 255).float()[None, None] * 2 - 1
    plain = load_model(run.models["global"])
    with torch.no_grad():
        assert torch.equal(model(images), plain(images))
        logits = plain(images).softmax(1)[0].tolist()
    assert list(found.values()) == pytest.approx(logits, abs=1e-5)
    with pytest.raises(DataError, match="no file"):
        model.predict(tmp_path / "none.png")
    own = srflm_flower.load_model(run.models["b"])
    assert own.file.notes["vendor"] == "b"


def test_names_that_are_not_there_are_named(run: srflm_flower.Run, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no model 'z'") as raised:
        run.model("z")
    assert "global" in raised.value.expected
    with pytest.raises(RunFolderError, match=r"no federation\.toml"):
        srflm_flower.Run(tmp_path)
    with pytest.raises(AttributeError):
        _ = srflm_flower.nothing


def test_import_of_the_package_is_light() -> None:
    heavy = "torch flwr numpy pydantic pandas monai"
    script = f"import srflm_flower, sys; print([n for n in '{heavy}'.split() if n in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.stdout.strip() == "[]", ended.stderr
