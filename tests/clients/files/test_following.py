"""A log is followed across its rotation: nothing twice, nothing left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.files import following
from clients.files.following import FollowedLines
from clients.files.rotation import old_file, rename

ALL = 10**9


def add(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def news(log: FollowedLines) -> list[str]:
    found = []
    while lines := log.look():
        found += [line.decode().rstrip("\n") for line in lines]
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def test_rest_of_a_renamed_file_comes_before_the_new_one(path: Path) -> None:
    log = FollowedLines(path, ALL)
    add(path, "1", "2")
    assert news(log) == ["1", "2"]
    add(path, "3")
    rename(path)
    add(path, "4")
    assert news(log) == ["3", "4"] and not log.begins_again


def test_file_that_was_renamed_is_read_on_until_there_is_a_new_one(path: Path) -> None:
    """nginx writes into it until it has opened the new one."""
    log = FollowedLines(path, ALL)
    add(path, "1")
    assert news(log) == ["1"]
    rename(path)
    add(old_file(path, 1), "2")
    assert news(log) == ["2"]
    add(old_file(path, 1), "3")
    add(path, "4")
    assert news(log) == ["3", "4"]


def test_three_rotations_between_two_looks_lose_nothing(path: Path) -> None:
    log = FollowedLines(path, ALL)
    add(path, "0")
    news(log)
    for number in range(1, 4):
        add(path, str(number))
        rename(path)
    add(path, "4")
    assert news(log) == ["1", "2", "3", "4"]


def test_first_look_goes_back_into_old_files_as_far_as_it_reaches(path: Path) -> None:
    add(path, "1", "2")
    rename(path)
    add(path, "3")
    assert news(FollowedLines(path, ALL)) == ["1", "2", "3"]
    assert news(FollowedLines(path, 4)) == ["2", "3"]
    assert news(FollowedLines(path, 3)) == ["3"], "a line of which the beginning is out of reach"
    assert news(FollowedLines(path, 0)) == []


def test_log_that_begins_later_is_read_from_its_beginning(path: Path) -> None:
    log = FollowedLines(path, 0)
    assert news(log) == []
    add(path, "1")
    rename(path)
    add(path, "2")
    assert news(log) == ["1", "2"] and not log.begins_again


def test_other_file_in_its_place_is_noticed(path: Path, tmp_path: Path) -> None:
    log = FollowedLines(path, ALL)
    add(path, "1", "2", "3")
    news(log)
    path.rename(tmp_path / "elsewhere")
    add(path, "7")
    assert log.look() == [b"7\n"] and log.begins_again
    path.write_text("")
    assert log.look() == [] and log.begins_again, "cut"


def test_much_news_is_read_bit_by_bit_and_no_line_is_cut(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "AT_ONCE", 10)
    log = FollowedLines(path, ALL)
    expected = [str(number) * (number % 25 + 1) for number in range(60)]
    add(path, *expected[:30])
    rename(path)
    add(path, *expected[30:])
    assert len(log.look()) < 30
    assert news(log)[-1] == expected[-1]
    again = FollowedLines(path, ALL)
    assert news(again) == expected


def test_half_a_line_waits_for_its_end(path: Path) -> None:
    log = FollowedLines(path, ALL)
    path.write_text("1\n2")
    assert news(log) == ["1"]
    add(path, "2")
    assert news(log) == ["22"]


def test_file_that_is_renamed_during_the_look_is_found_by_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = FollowedLines(path, ALL)
    add(path, "1")
    news(log)
    add(path, "2")
    existing = following._existing

    def and_then_renamed(each: Path) -> list[tuple[Path, int, int]]:
        found = existing(each)
        rename(path)
        add(path, "3")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(following, "_existing", and_then_renamed)
        assert log.look() == []
    assert news(log) == ["2", "3"]
