"""Rules of the training loops that are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.measuring.round_times import UnequalWork
from benchmarks.measuring.spread import spread
from benchmarks.plain_training import plain_train
from benchmarks.throughput import (
    BATCHES,
    Throughput,
    Throughputs,
    _check_same,
    measure,
    run,
)

CPU = torch.device("cpu")


def test_plain_loop_learns() -> None:
    torch.manual_seed(0)
    images = torch.randn(64, 8)
    labels = (images[:, 0] > 0).long()
    network = torch.nn.Linear(8, 2)
    plain_train(network, images, labels, 20, 16, 0.1, 0.9, 1, CPU, False)
    assert float((network(images).argmax(1) == labels).float().mean()) > 0.9


def test_both_loops_do_the_same_work() -> None:
    found = measure("small-cnn", 32, 1, CPU, False)  # raises UnequalWork otherwise
    assert found.ratio.count == 1 and found.ours.median > 0


def test_different_weights_are_refused() -> None:
    with pytest.raises(UnequalWork, match="small-cnn"):
        _check_same("small-cnn", {"w": np.zeros(2)}, {"w": np.array([0.0, 0.1])})


def test_markdown_says_whether_the_target_is_met() -> None:
    def row(ratio: float) -> Throughput:
        rate = spread([100.0])
        return Throughput("resnet18", "CPU", "single", rate, rate, spread([ratio]))

    lines = Throughputs((row(0.951), row(0.94))).as_markdown().splitlines()
    assert "| 0.95 (0.95–0.95) | met |" in lines[2]
    assert "| 0.94 (0.94–0.94) | missed |" in lines[3]


@pytest.mark.slow
def test_quick_run_measures_every_network(tmp_path: Path) -> None:
    measured = run(True, tmp_path).measured
    assert {each.network for each in measured} == set(BATCHES)
    assert all(each.ratio.median > 0.5 for each in measured)
