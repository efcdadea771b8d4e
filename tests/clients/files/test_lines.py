from __future__ import annotations

from pathlib import Path

import pytest

from clients.files.lines import complete_lines, size_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lines.jsonl"


def test_missing_file_has_no_lines_and_no_size(path: Path) -> None:
    assert list(complete_lines(path)) == [] and size_of(path) == 0


def test_last_line_is_left_out_until_it_is_complete(path: Path) -> None:
    path.write_bytes(b"one\ntw")
    assert list(complete_lines(path)) == [b"one\n"]
    path.write_bytes(b"one\ntwo\n")
    assert list(complete_lines(path)) == [b"one\n", b"two\n"]


def test_reader_goes_on_where_it_has_stopped(path: Path) -> None:
    path.write_bytes(b"one\ntw")
    read = sum(map(len, complete_lines(path)))
    path.write_bytes(b"one\ntwo\n\nthree")
    assert list(complete_lines(path, read)) == [b"two\n", b"\n"]


def test_line_in_whose_middle_the_reader_starts_is_cut(path: Path) -> None:
    path.write_bytes(b"one\ntwo\n")
    assert list(complete_lines(path, 2)) == [b"e\n", b"two\n"]


def test_file_that_has_shrunk_has_no_lines_after_its_end(path: Path) -> None:
    path.write_bytes(b"one\n")
    assert list(complete_lines(path, 100)) == [] and size_of(path) == 4
