"""Rules of how private steps are compared with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measuring.spread import spread
from benchmarks.private_step import PrivateStep, PrivateSteps, Step, run


def measured(ratio: float, memory: float) -> PrivateStep:
    second = spread([1.0])
    return PrivateStep("resnet18", "vmap", second, second, spread([ratio]), memory, 100.0)


def test_markdown_says_which_target_is_missed() -> None:
    steps = measured(1.9, 199.0), measured(2.1, 100.0), measured(1.0, 201.0)
    lines = PrivateSteps(steps).as_markdown().splitlines()
    assert lines[2].endswith("| 1.99 | met |")
    assert lines[3].endswith("| missed (time) |")
    assert lines[4].endswith("| missed (memory) |")


def test_private_and_plain_steps_can_be_repeated() -> None:
    for way in ("plain", "auto", "ghost"):
        step = Step("small-cnn", way)  # type: ignore[arg-type]
        assert step.seconds() > 0 and step.seconds() > 0


@pytest.mark.slow
def test_quick_run_measures_every_mode(tmp_path: Path) -> None:
    found = run(True, tmp_path).measured
    assert [each.mode for each in found] == ["auto: vmap", "vmap", "loop", "ghost"]
    assert all(each.private_memory > 0 and each.plain_memory > 0 for each in found)
