"""The lines of all logs of a site are shown in order of time."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clients.files.rotation import rename
from deploy.cli import app
from deploy.operating.support.log_lines import newest
from deploy.site.layout import Layout

NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "site.toml").write_text('vendor = "aster"\n')
    for folder in ("logs", "state", "run/edge/logs"):
        (tmp_path / folder).mkdir(parents=True)
    return Layout(*(tmp_path / name for name in ("state", "run", "logs", "identity")))


def event(path: Path, seconds: float, **fields: object) -> None:
    with path.open("a") as file:
        file.write(json.dumps({"time": NOW + seconds, **fields}) + "\n")


def shown(layout: Layout, count: int = 50) -> list[tuple[str, str]]:
    return [(line.source, line.text) for line in newest(layout, count)]


def test_lines_of_all_logs_come_in_order_of_time(layout: Layout) -> None:
    event(layout.logs / "launcher.jsonl", 3, event="serving", term=1)
    event(layout.logs / "worker.jsonl", 1, event="task", exit=0)
    event(layout.state / "audit.jsonl", 4, type="query.open", vendor="b")
    edge = layout.edge / "logs"
    (edge / "in.jsonl").write_text('{"t":"2026-11-30T12:00:02+00:00","st":200}\n')
    (edge / "error.log").write_text(
        f"{datetime.fromtimestamp(NOW):%Y/%m/%d %H:%M:%S} [notice] 1#1: start\n"
    )
    (layout.state / "site.log").write_text("2026-11-30T14:00:05+0200 sync: late\n")
    assert shown(layout) == [
        ("edge/error.log", "[notice] 1#1: start"),
        ("worker.jsonl", "task exit=0"),
        ("edge/in.jsonl", "st=200"),
        ("launcher.jsonl", "serving term=1"),
        ("state/audit.jsonl", "type=query.open vendor=b"),
        ("state/site.log", "sync: late"),
    ]
    assert [source for source, _ in shown(layout, 2)] == ["state/audit.jsonl", "state/site.log"]


def test_line_without_a_time_stands_by_the_line_before_it(layout: Layout) -> None:
    log = layout.state / "site.log"
    log.write_text("2026-11-30T12:00:01+0000 failed: Traceback\n  File x\nValueError\n\n")
    event(layout.logs / "launcher.jsonl", 2, event="failed")
    assert [text for _, text in shown(layout)] == [
        *("failed: Traceback", "  File x", "ValueError"),
        "failed",
    ]
    assert [line.dated for line in newest(layout, 9)] == [True, False, False, True]


def test_file_without_any_time_stands_at_its_last_change(layout: Layout) -> None:
    log = layout.logs / "supernodes.log"
    log.write_text("supernode for b: process 7\n")
    os.utime(log, (NOW + 1.5, NOW + 1.5))
    event(layout.logs / "launcher.jsonl", 1, event="one")
    event(layout.logs / "launcher.jsonl", 2, event="two")
    assert [source for source, _ in shown(layout)] == [
        *("launcher.jsonl", "supernodes.log", "launcher.jsonl")
    ]


def test_rotated_logs_are_shown_even_without_a_new_file(layout: Layout) -> None:
    log = layout.logs / "launcher.jsonl"
    event(log, 1, event="before")
    rename(log)
    assert shown(layout) == [("launcher.jsonl", "before")]
    event(log, 2, event="after")
    assert shown(layout) == [("launcher.jsonl", "before"), ("launcher.jsonl", "after")]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"{" * 100_000,
        b"[1]",
        b'{"time": 1e400}',
        b'{"time": 1' + b"0" * 400 + b"}",
        b'{"time": "x", "t": 5}',
        b"\xff\xfe",
        b"{}",
    ],
)
def test_strange_lines_are_shown_and_stop_nothing(layout: Layout, line: bytes) -> None:
    (layout.logs / "worker.jsonl").write_bytes(line + b"\n")
    assert CliRunner().invoke(app, ["logs", str(layout.run.parent)]).exit_code == 0


def test_lines_that_would_command_the_terminal_are_shown_without_their_commands(
    layout: Layout,
) -> None:
    """A peer's call is in the log of the edge."""
    (layout.logs / "superlink.log").write_text("\x1b[92mINFO\x1b[0m: \x1b]0;title\x07start\n")
    event(layout.logs / "worker.jsonl", 1, event="task", type="\x1b[2J\x9b2J")
    ended = CliRunner().invoke(app, ["logs", str(layout.run.parent)])
    assert ended.exit_code == 0 and "INFO" in ended.output
    assert not {*ended.output} & {"\x1b", "\x9b", "\x07"}


def test_programs_read_json(layout: Layout) -> None:
    event(layout.logs / "worker.jsonl", 1, event="task", exit=0)
    (layout.logs / "edge.log").write_text("text\n")
    ended = CliRunner().invoke(app, ["logs", str(layout.run.parent), "--json", "--lines", "9"])
    lines = [json.loads(line) for line in ended.output.splitlines()]
    assert {line["source"] for line in lines} == {"worker.jsonl", "edge.log"}
    [task] = [line for line in lines if line["source"] == "worker.jsonl"]
    assert task["event"]["exit"] == 0 and task["dated"] and task["time"] == NOW + 1
