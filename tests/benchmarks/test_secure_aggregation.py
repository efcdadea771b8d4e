"""Rules of the comparison of secure and plain aggregation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.measuring.round_times import UnequalWork
from benchmarks.secure_aggregation import SecureAggregation, _check_same, measure


def test_all_ways_are_measured_and_their_bytes_are_those_of_the_model(tmp_path: Path) -> None:
    parameters = 10_000
    plain, secure, one_lost = measure(4, parameters, 1, tmp_path)
    assert [each.way for each in (plain, secure, one_lost)] == [
        "plain",
        "secure",
        "secure, a client lost",
    ]
    model = 4 * parameters
    assert 3 * model < plain.received.median < secure.received.median < 3 * model + 20_000
    assert 2 * model < one_lost.received.median < 3 * model
    assert all(each.at_client.median > 0 for each in (plain, secure, one_lost))
    assert "| 4 | secure |" in SecureAggregation(parameters, (plain, secure)).as_markdown()


def test_different_means_are_refused() -> None:
    _check_same({"w": np.zeros(2)}, {"w": np.full(2, 5e-8)}, 1e-7)
    with pytest.raises(UnequalWork, match="differ"):
        _check_same({"w": np.zeros(2)}, {"w": np.full(2, 1e-3)}, 1e-7)
