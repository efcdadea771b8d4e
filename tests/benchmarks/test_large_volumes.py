"""Rules of the benchmark of large volumes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.large_volumes import (
    GOALS,
    ORGANS,
    SMALL,
    Large,
    _nifti,
    faster_again,
    training_ratio,
)
from benchmarks.measuring.spread import spread
from clients.data.manifest import untouched


def test_second_reading_is_the_faster_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untouched, "SETTLED", -1e9)
    assert faster_again(tmp_path / "a", ORGANS, SMALL, _nifti) > 2


@pytest.mark.slow
def test_training_is_compared_at_equal_work(tmp_path: Path) -> None:
    assert training_ratio(tmp_path / "a", 1).count == 1


def test_figures_stand_beside_their_goals() -> None:
    text = Large(dict.fromkeys(GOALS, 3.0), spread([0.95, 0.97]), 4, 900.0, 160.0).as_markdown()
    for words in ("≥ 100 ×", "3 ×", "≥ 0.9", "900 MiB", "160 MiB as prepared"):
        assert words in text
