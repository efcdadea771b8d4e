"""The supervisor keeps the logs of a site's programs small."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clients.files import rotation
from clients.files.rotation import old_file
from deploy.processes.log_keeping import LOOK_SECONDS, KeptLogs, Reopening

LARGE = "x" * 200 + "\n"
PROGRAM = "edge"


class FakeChild:
    """A program of the site; this process has no child of its own in it."""

    pid = os.getpid()

    def poll(self) -> int | None:
        return None


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "MOST_BYTES", 100)


def edge_of(folder: Path) -> Reopening:
    (folder / "edge").mkdir()
    return Reopening(program=PROGRAM, logs=folder / "edge", pid=folder / "nginx.pid")


def test_output_of_programs_is_emptied_and_logs_of_events_are_left_to_their_writers(
    tmp_path: Path,
) -> None:
    for name in ("worker.log", "worker.jsonl"):
        (tmp_path / name).write_text(LARGE)
    (tmp_path / "page.log").write_text("small\n")
    KeptLogs(tmp_path).tend({})
    assert (tmp_path / "worker.log").read_text() == ""
    assert old_file(tmp_path / "worker.log", 1).read_text() == LARGE
    assert (tmp_path / "worker.jsonl").read_text() == LARGE
    assert (tmp_path / "page.log").read_text() == "small\n"


def test_logs_are_looked_at_every_minute(tmp_path: Path) -> None:
    now = [0.0]
    kept = KeptLogs(tmp_path, clock=lambda: now[0])
    kept.tend({})
    (tmp_path / "worker.log").write_text(LARGE)
    for seconds, emptied in ((1.0, False), (LOOK_SECONDS - 1, False), (LOOK_SECONDS, True)):
        now[0] = seconds
        kept.tend({})
        assert ((tmp_path / "worker.log").read_text() == "") == emptied, seconds


def test_old_files_are_not_rotated_again(tmp_path: Path) -> None:
    edge = edge_of(tmp_path)
    for name in ("in.jsonl.1", "error.log.3"):
        (edge.logs / name).write_text(LARGE)
    (tmp_path / "worker.log.2").write_text(LARGE)
    before = sorted(each.name for each in tmp_path.rglob("*"))
    KeptLogs(tmp_path, edge).tend({})
    assert sorted(each.name for each in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "number",
    [None, "", "1", str(os.getpid() + 1)],
    ids=["none", "empty", "init", "another"],  # the same for all workers of the tests
)
def test_logs_of_a_program_that_cannot_take_the_signal_stay(
    tmp_path: Path, number: str | None
) -> None:
    """Process 1 stands for another program that has got the number of an earlier nginx."""
    edge = edge_of(tmp_path)
    (edge.logs / "in.jsonl").write_text(LARGE)
    if number is not None:
        edge.pid.write_text(number)
    KeptLogs(tmp_path, edge).tend({PROGRAM: FakeChild()})
    assert [each.name for each in edge.logs.iterdir()] == ["in.jsonl"]


def test_logs_of_a_program_that_does_not_run_are_renamed(tmp_path: Path) -> None:
    edge = edge_of(tmp_path)
    (edge.logs / "in.jsonl").write_text(LARGE)
    (edge.logs / "out.jsonl").write_text("small\n")
    KeptLogs(tmp_path, edge).tend({})
    assert sorted(each.name for each in edge.logs.iterdir()) == ["in.jsonl.1", "out.jsonl"]


def test_folder_that_cannot_be_written_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "worker.log").write_text(LARGE)

    def full(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(rotation, "_make_room", full)
    KeptLogs(tmp_path, edge_of(tmp_path)).tend({})
    assert (tmp_path / "worker.log").read_text() == LARGE
