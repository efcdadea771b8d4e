"""Logs are rotated by their size, and no line is lost, whoever appends."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clients.files import rotation
from clients.files.event_log import EventLog
from clients.files.following import FollowedLines
from clients.files.rotation import (
    OLD_FILES,
    all_lines,
    empty_if_large,
    newest_lines,
    old_file,
    open_to_append,
    rotate_if_large,
    with_old_files,
)

WRITERS, EVENTS = 3, 400
LIMIT = 25_000
"""So that the events of all writers fill three files and a half at most."""


def write_events(path: Path, writer: int) -> None:
    rotation.MOST_BYTES = LIMIT  # type: ignore[misc]
    log = EventLog(path)
    for number in range(EVENTS):
        log("made-up", writer=writer, number=number)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_several_processes_append_and_rotate_and_a_reader_sees_every_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    followed, seen = FollowedLines(path, reach=0), list[bytes]()
    followed.look()
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_events, args=(path, n)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        seen += followed.look()
        time.sleep(0.001)
    while lines := followed.look():
        seen += lines
    assert all(writer.exitcode == 0 for writer in writers)
    assert old_file(path, 2).exists(), "the test must rotate"
    events = [json.loads(line) for line in all_lines(path)]
    expected = {(writer, number) for writer in range(WRITERS) for number in range(EVENTS)}
    assert len(events) == len(expected) and {(e["writer"], e["number"]) for e in events} == expected
    assert sorted(seen) == sorted(all_lines(path)), "no line twice, and none left out"


def test_at_most_three_old_files_stay(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for number in range(9):
        path.write_text(f"{number}\n" * 10)
        assert rotate_if_large(path, most=5)
    assert names(tmp_path) == [f"events.jsonl.{n}" for n in range(1, OLD_FILES + 1)]
    assert [file.read_text()[0] for file in with_old_files(path)[:-1]] == ["6", "7", "8"]


def test_small_log_and_one_that_is_not_there_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert not rotate_if_large(path) and not empty_if_large(path)
    path.write_text("one\n")
    assert not rotate_if_large(path) and not empty_if_large(path)
    assert names(tmp_path) == ["events.jsonl"]


def test_line_of_a_writer_that_was_late_goes_into_the_new_file(tmp_path: Path) -> None:
    """It has opened the file under the old name: the name is looked at again."""
    path = tmp_path / "events.jsonl"
    path.write_text("old\n")
    opened = Path.open

    def renamed_meanwhile(self: Path, *words: object, **more: object) -> object:
        file = opened(self, *words, **more)  # type: ignore[call-overload]
        if not old_file(path, 1).exists():
            rotation.rename(path)
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", renamed_meanwhile)
        with open_to_append(path) as file:
            file.write(b"new\n")
    assert (path.read_text(), old_file(path, 1).read_text()) == ("new\n", "old\n")


def test_program_that_keeps_its_log_open_goes_on_in_the_emptied_file(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    script = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
    with path.open("ab") as output:
        program = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=output, text=True
        )
    assert program.stdin is not None
    program.stdin.write("first\n" * 100)
    program.stdin.flush()
    while path.stat().st_size < 600:
        time.sleep(0.01)
    assert empty_if_large(path, most=100)
    assert path.stat().st_size == 0
    program.stdin.write("second\n")
    program.stdin.close()
    assert program.wait() == 0
    assert path.read_bytes() == b"second\n", "no hole: the file was opened to append"
    assert old_file(path, 1).read_bytes() == b"first\n" * 100
    assert stat.S_IMODE(old_file(path, 1).stat().st_mode) == 0o600


def test_log_that_cannot_be_copied_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "worker.log"
    path.write_text("line\n" * 10)

    def full(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(rotation.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="no space"):
        empty_if_large(path, most=5)
    assert names(tmp_path) == ["worker.log"]
    assert path.read_text() == "line\n" * 10


def test_newest_lines_go_back_into_the_old_files(tmp_path: Path) -> None:
    path = tmp_path / "launcher.jsonl"
    old_file(path, 2).write_text("a\nb\n")
    old_file(path, 1).write_text("c\nd\n")
    path.write_text("e\n")
    assert newest_lines(path, 1000) == [b"a\n", b"b\n", b"c\n", b"d\n", b"e\n"]
    assert newest_lines(path, 4) == [b"d\n", b"e\n"]
    path.unlink()  # a program that opens its log again has not done so yet
    assert newest_lines(path, 4) == [b"c\n", b"d\n"]


def test_events_are_for_the_sites_user_alone_after_a_rotation(tmp_path: Path) -> None:
    path, before = tmp_path / "events.jsonl", os.umask(0o077)
    try:
        for _ in range(3):
            EventLog(path)("made-up")
            rotate_if_large(path, most=1)
        EventLog(path)("made-up")
    finally:
        os.umask(before)
    assert len(names(tmp_path)) == 4
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
