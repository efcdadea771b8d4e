"""Rules of medians, ratios, and trends."""

from __future__ import annotations

import pytest

from benchmarks.measuring.spread import Trend, alternate, ratios, spread, trend


def test_spread_is_the_median_and_the_range() -> None:
    assert str(spread([3.0, 1.0, 2.0])) == "2.00 (1.00–3.00)"
    assert spread([3.0, 1.0, 2.0]).count == 3


def test_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        spread([])


def test_ratio_is_that_of_neighbours_not_of_medians() -> None:
    found = ratios([1.0, 20.0, 3.0], [1.0, 10.0, 1.0])
    assert (found.median, found.low, found.high) == (2.0, 1.0, 3.0)


def test_ratio_wants_pairs() -> None:
    with pytest.raises(ValueError):
        ratios([1.0], [1.0, 2.0])


def test_measurements_alternate() -> None:
    order: list[str] = []
    found = alternate(lambda n: order.append(f"a{n}"), lambda n: order.append(f"b{n}"), 2)
    assert order == ["a0", "b0", "a1", "b1"]
    assert [len(each) for each in found] == [2, 2]


def test_trend_finds_a_steady_growth() -> None:
    found = trend([100.0, 102.1, 103.9, 106.0, 108.0])
    assert found.slope == pytest.approx(2.0, abs=0.1)
    assert found.grows(tolerated=1.0)


def test_trend_of_noise_does_not_grow() -> None:
    assert not trend([100.0, 130.0, 90.0, 120.0, 110.0]).grows(tolerated=1.0)


@pytest.mark.parametrize(
    ("found", "grows"),
    [
        (Trend(0.9, 0.001), False),  # significant, but tolerated
        (Trend(5.0, 0.3), False),  # large, but may be chance
        (Trend(1.0, 0.001), True),
    ],
)
def test_growth_is_both_large_and_significant(found: Trend, grows: bool) -> None:
    assert found.grows(tolerated=1.0) is grows


def test_trend_wants_three_values() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        trend([1.0, 2.0])
