"""Rules of seconds a round, and of equal work."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measuring.round_times import (
    RoundEnd,
    UnequalWork,
    append_round_end,
    check_equal_work,
    read_round_ends,
    seconds_a_round,
)


def ends(times: list[float], steps: int = 10, first: int = 1) -> list[RoundEnd]:
    return [RoundEnd(number, at, steps) for number, at in enumerate(times, start=first)]


def test_first_two_rounds_do_not_count() -> None:
    assert seconds_a_round(ends([50.0, 90.0, 92.0, 95.0, 97.0])) == 2.0


def test_the_start_of_the_first_round_changes_nothing() -> None:
    assert seconds_a_round(ends([0.0, 50.0, 90.0, 92.0, 94.0], first=0)) == 2.0


def test_two_rounds_are_too_few() -> None:
    with pytest.raises(ValueError, match="more than 3"):
        seconds_a_round(ends([1.0, 2.0]))


def test_equal_work_is_the_steps_a_round() -> None:
    with_start = [RoundEnd(0, 0.0, 0), *ends([1.0, 2.0])]
    assert check_equal_work(ends([1.0, 2.0]), with_start) == 10


@pytest.mark.parametrize(
    "other",
    [
        ends([1.0, 2.0], steps=11),
        ends([1.0, 2.0, 3.0]),
        [RoundEnd(1, 1.0, 10), RoundEnd(2, 2.0, 9)],
        [],
    ],
)
def test_other_work_is_refused(other: list[RoundEnd]) -> None:
    with pytest.raises(UnequalWork):
        check_equal_work(ends([1.0, 2.0]), other)


def test_work_that_changes_from_round_to_round_is_refused() -> None:
    changing = [RoundEnd(1, 1.0, 10), RoundEnd(2, 2.0, 12)]
    with pytest.raises(UnequalWork):
        check_equal_work(changing, changing)


def test_round_ends_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    assert read_round_ends(path) == []
    for end in ends([1.0, 2.0]):
        append_round_end(path, end)
    with path.open("a") as file:
        file.write('{"round": 3, "ti')  # being written
    assert read_round_ends(path) == ends([1.0, 2.0])
