"""The commands, in processes of their own or through Typer's runner; and every bad input."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from clients.models.model_file import ModelFile
from clients.networks.build import initial_network
from clients.networks.weights import get_weights
from deploy.cli import app
from srflm_flower.comparison.result import METHODS
from strategies.errors import ConfigurationError, DataError, RunFolderError
from tests.support.commands import SRFLM, run
from tests.support.dicom_files import stored_by_ge, write_dicom
from tests.support.tiny import conduct, new_run, tiny_federation, write_tiny_npz


def federation_file(folder: Path, **changes: object) -> Path:
    path = folder / "federation.toml"
    path.write_text(tiny_federation(folder, **changes).to_toml(), encoding="utf-8")
    return path


def invoke(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


# ---- config and data ---------------------------------------------------------------------------


def test_config_check_counts_every_vendor(tmp_path: Path) -> None:
    output = invoke("config", "check", federation_file(tmp_path))
    assert all(f" {vendor} " in output for vendor in "abcd")
    assert "valid" in output


def test_config_check_describes_the_network(tmp_path: Path) -> None:
    arguments = {"init_features": 8, "growth_rate": 4, "block_config": [2, 2]}
    chosen = {"model__network": "DenseNet", "model__arguments": arguments}
    output = " ".join(invoke("config", "check", federation_file(tmp_path, **chosen)).split())
    facts = r"Network DenseNet: \d,\d+ parameters. A client gets and sends \d+,\d+ bytes a round."
    assert re.search(facts, output)
    assert "It normalises over the batch" in output
    assert "images of 32 × 32 pixels, a size that suits, as the file tells none" in output
    assert "It does not normalise" in invoke(
        "config", "check", federation_file(tmp_path, **chosen, model__dp_ready=True)
    )


def test_config_check_describes_the_network_of_data_that_is_not_there(tmp_path: Path) -> None:
    path = federation_file(tmp_path)
    for data in tmp_path.rglob("*.npz"):
        data.unlink()
    result = run([SRFLM, "config", "check", path], tmp_path)
    assert result.returncode == 1
    assert "Network small-cnn" in result.stdout
    assert "SRFLM-D1" in result.stderr


def test_all_problems_are_shown_at_once_and_the_exit_code_is_2(tmp_path: Path) -> None:
    path = tmp_path / "federation.toml"
    path.write_text('nam = "x"\n[training]\nlearning-rate = -1\n[[vendors]]\nname = "a"\n')
    result = run([SRFLM, "config", "check", path], tmp_path)
    assert result.returncode == 2
    for text in ("nam: found an unknown key", "learning-rate: found -1", "expected", "Traceback"):
        assert (text in result.stderr) == (text != "Traceback")


def test_data_preview_writes_a_picture(tmp_path: Path) -> None:
    invoke("data", "preview", federation_file(tmp_path), "--out", tmp_path / "preview.png")
    with Image.open(tmp_path / "preview.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 200


# ---- bad data: one clear error, before anything is started -------------------------------------


def test_missing_data_file(tmp_path: Path) -> None:
    path = federation_file(tmp_path, data__path=tmp_path / "none.npz")
    with pytest.raises(DataError, match="correct the path"):
        invoke("simulate", path, "--out", tmp_path / "run")


def test_unreadable_data_file(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 not a zip file")
    path = federation_file(tmp_path, data__path=tmp_path / "broken.npz")
    with pytest.raises(DataError, match="copy or download the file again"):
        invoke("simulate", path, "--out", tmp_path / "run")


def test_labels_outside_the_classes(tmp_path: Path) -> None:
    path = federation_file(tmp_path, task__classes=("rows", "columns"))
    with pytest.raises(DataError, match="labels from 0 to 2") as error:
        invoke("simulate", path, "--out", tmp_path / "run")
    assert error.value.code == DataError.LABELS_OUTSIDE_CLASSES


def by_class(folder: Path, **changes: object) -> Path:
    federation = tiny_federation(folder)
    vendors = [
        {"name": vendor.name, "classes": classes}
        for vendor, classes in zip(federation.vendors, [(0, 1), (1, 2), (0, 2), (2,)], strict=True)
    ]
    partition = {"kind": "by-class"}
    return federation_file(folder, vendors=vendors, data__partition=partition, **changes)


def test_vendor_with_one_class(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'d' has train examples of one class") as error:
        invoke("simulate", by_class(tmp_path), "--out", tmp_path / "run")
    assert "allow-one-class" in error.value.mend
    invoke("config", "check", by_class(tmp_path, splits__allow_one_class=True))


def test_vendor_without_data(tmp_path: Path) -> None:
    write_tiny_npz(tmp_path / "tiny.npz", per_split=(96, 2, 36))
    with pytest.raises(DataError, match="has no validation examples"):
        invoke("simulate", by_class(tmp_path), "--out", tmp_path / "run")


def test_batch_larger_than_the_data(tmp_path: Path) -> None:
    path = by_class(tmp_path, training__batch_size=90, splits__allow_one_class=True)
    with pytest.raises(DataError, match="batches of 90") as error:
        invoke("simulate", path, "--out", tmp_path / "run")
    assert "training.batch-size" in error.value.mend


def test_division_that_cannot_be_drawn(tmp_path: Path) -> None:
    path = federation_file(tmp_path, training__batch_size=90)
    with pytest.raises(ConfigurationError, match=r"lower training\.batch-size"):
        invoke("simulate", path, "--out", tmp_path / "run")


# ---- runs --------------------------------------------------------------------------------------


def test_folder_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    folder = new_run(tiny_federation(tmp_path), tmp_path / "run")
    with pytest.raises(RunFolderError, match="--resume"):
        invoke("simulate", federation_file(tmp_path), "--out", folder.path)


def test_resuming_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no federation\.toml"):
        invoke("simulate", "--resume", tmp_path)


def test_resume_takes_no_other_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--resume alone"):
        invoke("simulate", "--resume", tmp_path, "--rounds", 3)


def test_predict_prints_a_line_an_image(tmp_path: Path) -> None:
    folder = new_run(tiny_federation(tmp_path, run__rounds=1), tmp_path / "run")
    conduct(folder)
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(1)
    for number in range(3):
        pixels = rng.integers(0, 255, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    output = invoke("predict", folder.global_model, tmp_path / "images")
    rows = list(csv.DictReader(output.splitlines()))
    assert len(rows) == 3
    for row in rows:
        probabilities = {name: float(row[name]) for name in ("rows", "columns", "flat")}
        assert row["class"] == max(probabilities, key=probabilities.__getitem__)
        assert abs(sum(probabilities.values()) - 1) < 1e-3


def test_predicting_with_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunFolderError, match="is not a model file"):
        invoke("predict", tmp_path / "x.safetensors", tmp_path)


# ---- compare -----------------------------------------------------------------------------------


def test_unknown_method_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="some of srflm"):
        invoke("compare", federation_file(tmp_path), "--methods", "fedsgd")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--attack", "bribery"], "one of sign-flip, label-flip, scaled, backdoor"),
        (["--attack", "scaled", "--attackers", "4"], "honest vendors' models"),
        (["--attack", "scaled", "--methods", "pooled"], "correct --methods"),
        (["--attack", "scaled", "--leave-out", "a"], "--attack and --leave-out together"),
    ],
)
def test_attack_that_cannot_be_is_refused(tmp_path: Path, options: list[str], found: str) -> None:
    with pytest.raises(ConfigurationError, match=found):
        invoke("compare", federation_file(tmp_path), "--out", tmp_path / "cmp", *options)


def test_method_that_the_federation_cannot_run_is_refused_if_it_was_asked_for(
    tmp_path: Path,
) -> None:
    path = federation_file(tmp_path, training__optimizer="adam")
    with pytest.raises(ConfigurationError, match="scaffold with training"):
        invoke("compare", path, "--methods", "fedavg,scaffold", "--out", tmp_path / "cmp")
    assert not (tmp_path / "cmp").exists()


@pytest.mark.slow
def test_published_name_runs_as_the_method_and_says_what_is_missing(tmp_path: Path) -> None:
    path = federation_file(tmp_path, run__rounds=1)
    command = [SRFLM, "compare", path, "--seeds", "1", "--out", "cmp", "--methods", "fedgp,3sc-fl"]
    result = run(command, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "fedgp (J. South. Med. Univ. 45(4), 844-852 (2025)" in result.stdout
    data = json.loads((tmp_path / "cmp" / "comparison.json").read_text())
    assert [each["method"] for each in data["results"]] == ["round-robin", "fixed-server"]


def test_vendor_that_is_to_be_left_out_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="each, or one of"):
        invoke("compare", federation_file(tmp_path), "--leave-out", "nobody")


@pytest.mark.slow
def test_compare_leaves_out_what_the_federation_cannot_run_and_a_vendor(tmp_path: Path) -> None:
    path = federation_file(tmp_path, training__optimizer="adam", run__rounds=1)
    command = [SRFLM, "compare", path, "--seeds", "1", "--out", "cmp", "--leave-out", "b"]
    result = run(command, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Left out: method scaffold" in result.stdout
    data = json.loads((tmp_path / "cmp" / "comparison.json").read_text())
    ran = {(each["method"], each["left_out"]) for each in data["results"]}
    assert ("fedbn", "b") in ran and ("local", None) in ran
    assert not ran & {("local", "b"), ("scaffold", None)}
    assert data["statistics"]["srflm"]["held_out"]["seeds"] == 1
    assert "| held-out" in (tmp_path / "cmp" / "comparison.md").read_text()


@pytest.mark.slow
def test_compare_gives_every_method_the_same_number_of_gradient_steps(tmp_path: Path) -> None:
    result = run(
        [SRFLM, "compare", federation_file(tmp_path), "--seeds", "2", "--out", "cmp"], tmp_path
    )
    assert result.returncode == 0, result.stdout + result.stderr
    data = json.loads((tmp_path / "cmp" / "comparison.json").read_text())
    for seed in (65, 66):
        steps = {each["method"]: each["steps"] for each in data["results"] if each["seed"] == seed}
        assert set(steps) == set(METHODS)
        assert len(set(steps.values())) == 1
    assert set(data["table"]["local"]) == {"personalised"}
    assert (tmp_path / "cmp" / "comparison.png").stat().st_size > 5000
    assert "| srflm  " in (tmp_path / "cmp" / "comparison.md").read_text()
    assert max(map(len, result.stdout.splitlines()[:-1])) <= 100
    statistics = data["statistics"]["srflm"]
    assert statistics["minus_local"]["seeds"] == 2
    assert statistics["minus_local"]["low"] <= statistics["minus_local"]["high"]
    assert statistics["below_local"]["vendor_seeds"] == 8


# ---- predict -----------------------------------------------------------------------------------


def tiny_model(folder: Path, **notes: object) -> Path:
    federation = tiny_federation(folder)
    network = initial_network(federation.network_settings, federation.task, 1)
    file = ModelFile(federation.network_settings, federation.task, get_weights(network), notes)
    file.write(folder / "model.safetensors")
    return folder / "model.safetensors"


def write_pictures(folder: Path, count: int, size: int = 8) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(count):
        pixels = rng.integers(0, 255, (size, size), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_predict_classifies_all_it_can_and_names_the_rest(tmp_path: Path) -> None:
    model, folder = tiny_model(tmp_path), write_pictures(tmp_path / "images", 2)
    for name in ("Thumbs.db", "0broken.png", ".hidden.png"):
        (folder / name).write_bytes(b"no image")
    result = CliRunner().invoke(app, ["predict", str(model), str(folder)])
    assert result.exit_code == 1
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [Path(row["file"]).name for row in rows] == ["0.png", "1.png"]
    for name in ("Thumbs.db", "0broken.png", ".hidden.png"):
        assert name in result.stderr


def test_predict_without_an_image_prints_nothing_on_stdout(tmp_path: Path) -> None:
    model = tiny_model(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "text" / name).write_text("no image")
    for folder in ("empty", "text", "none"):
        result = CliRunner().invoke(app, ["predict", str(model), str(tmp_path / folder)])
        assert isinstance(result.exception, DataError)
        assert result.exception.code == DataError.MISSING
        assert result.stdout == ""


def test_predict_refuses_another_size_than_in_training_unless_told_to_resize(
    tmp_path: Path,
) -> None:
    model = tiny_model(tmp_path, **{"image-size": 8})
    assert "0.png" in invoke("predict", model, write_pictures(tmp_path / "same", 1))
    other = write_pictures(tmp_path / "other", 1, size=12)
    with pytest.raises(DataError, match="--image-size 8") as error:
        invoke("predict", model, other)
    assert error.value.code == DataError.SHAPE
    assert "0.png" in invoke("predict", model, other, "--image-size", 8)


def test_predict_takes_the_window_from_the_model_file(tmp_path: Path) -> None:
    stored, elements = stored_by_ge(np.random.default_rng(0).integers(-300, 400, (8, 8)))
    image = write_dicom(tmp_path / "x.dcm", stored, **elements)
    assert "x.dcm" in invoke("predict", tiny_model(tmp_path, window=[-160, 240]), image)
    with pytest.raises(DataError) as error:  # a model file of an older version has no window
        invoke("predict", tiny_model(tmp_path), image)
    assert error.value.code == DataError.WINDOW
