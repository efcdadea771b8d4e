"""Rules of the benchmark of frozen features: tuned without test images, judged on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import private_features
from benchmarks.private_features import (
    CHOSEN,
    EXAMPLE,
    HOME,
    HOME_TRIED,
    TRIED,
    PrivateFeatures,
    Row,
    without_test,
)
from clients.settings import NpzData
from srflm_flower.federation.loading import load_federation, with_changes
from tests.support.tiny import tiny_federation


def row(epsilon: float, accuracy: float) -> Row:
    table = {"srflm": {"global on all test": (accuracy, 0.01), "personalised": (0.9, 0.0)}}
    return Row(epsilon, CHOSEN[epsilon], table, epsilon - 0.002)


def test_goals_are_judged_on_test_images_only() -> None:
    rows = row(8.0, 0.87), row(1.0, 0.74)
    text = PrivateFeatures(rows, 5).as_markdown()
    assert "At ε = 8 SRFLM 0.870 (goal: 0.86): met" in text
    assert "At ε = 1 SRFLM 0.740 (goal: 0.75): missed" in text
    assert "| 0.870 ± 0.010 | 0.900 ± 0.000 |" in text
    alone = Row(None, None, {"local": {"personalised": (0.94, 0.01)}}, None)
    text = PrivateFeatures((*rows, alone), 5).as_markdown()
    assert "| none | – | – | 0.5, 32, 20 | local | – | 0.940 ± 0.010 |" in text
    assert "goal" not in PrivateFeatures(rows, 1, "validation").as_markdown()


def test_tuning_has_no_test_images(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    assert isinstance(federation.data, NpzData)
    changed = without_test(federation, tmp_path)
    assert isinstance(changed.data, NpzData)
    with np.load(federation.data.path) as old, np.load(changed.data.path) as new:
        assert old.keys() == new.keys()
        for name in ("train_images", "train_labels", "val_images", "val_labels"):
            assert np.array_equal(old[name], new[name])
        assert np.array_equal(new["test_images"], old["val_images"])
        assert np.array_equal(new["test_labels"], old["val_labels"])


def test_what_was_chosen_was_tried_and_stands_in_the_example() -> None:
    federation = load_federation(EXAMPLE)
    assert all(CHOSEN[epsilon] in TRIED[epsilon] for epsilon in CHOSEN)
    assert HOME in HOME_TRIED
    assert with_changes(federation, **CHOSEN[federation.privacy.epsilon].changes()) == federation


def test_without_data_or_weights_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = load_federation(EXAMPLE)
    for missing in ("data__path", "model__features__file"):
        there = tmp_path / "there"
        there.touch()
        paths = {"data__path": there, "model__features__file": there}
        changed = with_changes(federation, **(paths | {missing: tmp_path / "gone.file"}))
        monkeypatch.setattr(private_features, "load_federation", lambda _path, f=changed: f)
        assert "gone.file is not there" in private_features.run(True, tmp_path).as_markdown()
        assert "gone.file is not there" in private_features.tune(tmp_path).as_markdown()
