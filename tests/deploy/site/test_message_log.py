"""The audit: nobody changes what stands in it without being found out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.site.message_log import GENESIS, TAIL_BYTES, MessageLog, check_message_log
from strategies.errors import LedgerError
from tests.support.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "audit.jsonl"


def written(path: Path, events: int = 5) -> list[bytes]:
    audit = MessageLog(path)
    for number in range(events):
        audit.note(vendor="a", type="query.open", term=number, outcome="done")
    return path.read_bytes().splitlines(keepends=True)


def test_every_event_is_noted_with_its_time_after_the_one_before(path: Path) -> None:
    assert check_message_log(path) == 0, "no file is an empty audit"
    lines = [json.loads(line) for line in written(path)]
    assert [line["term"] for line in lines] == list(range(5))
    assert lines[0]["after"] == GENESIS
    assert all(line.keys() == lines[0].keys() for line in lines)
    assert check_message_log(path) == 5


def test_first_line_that_does_not_fit_is_named(path: Path) -> None:
    lines = written(path)
    broken = {
        "edited": ([lines[0], lines[1].replace(b"done", b"DONE"), *lines[2:]], 3),
        "deleted in the middle": ([*lines[:2], *lines[3:]], 3),
        "deleted at the beginning": (lines[1:], 1),
        "swapped": ([lines[0], lines[2], lines[1], *lines[3:]], 2),
        "repeated": ([*lines[:2], lines[1], *lines[2:]], 3),
        "inserted": ([*lines[:2], b'{"term":1}\n', *lines[2:]], 3),
        "not JSON": ([*lines[:2], b"?\n", *lines[2:]], 3),
        "not an object": ([*lines[:2], b"[]\n", *lines[2:]], 3),
        "an empty line": ([*lines[:2], b"\n", *lines[2:]], 3),
        "two lines in one": ([lines[0], lines[1].rstrip() + lines[2], *lines[3:]], 2),
    }
    for what, (content, at) in broken.items():
        path.write_bytes(b"".join(content))
        with pytest.raises(LedgerError, match=f"line {at}$|line {at};"):
            check_message_log(path)
            pytest.fail(what)


def test_earlier_copy_is_intact_up_to_its_own_end(path: Path) -> None:
    lines = written(path)
    path.write_bytes(b"".join(lines[:3]))
    assert check_message_log(path) == 3


def test_broken_chain_stays_broken_however_many_events_follow(path: Path) -> None:
    lines = written(path)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    written(path)
    with pytest.raises(LedgerError, match="line 3"):
        check_message_log(path)


def test_line_that_a_crash_cut_short_was_never_acknowledged(path: Path) -> None:
    lines = written(path)
    path.write_bytes(b"".join(lines)[:-7])
    assert check_message_log(path) == 4
    written(path, 2)
    assert check_message_log(path) == 6
    path.write_bytes(lines[0][:9])
    assert check_message_log(path) == 0
    written(path, 2)
    assert check_message_log(path) == 2


def test_lines_may_be_longer_than_what_is_read_at_once(path: Path) -> None:
    """The numbers in an envelope come from another vendor: they may have any length."""
    audit = MessageLog(path)
    for length in (1, TAIL_BYTES - 200, TAIL_BYTES, 3 * TAIL_BYTES, 1):
        audit.note(term="9" * length)
        audit.note(term="1")
    assert check_message_log(path) == 10


PROCESS = """
import sys
from pathlib import Path
from deploy.site.message_log import MessageLog

sys.stdin.readline()
for number in range(25):
    MessageLog(Path(sys.argv[1])).note(vendor=sys.argv[2], term=number)
"""


def test_several_processes_write_one_chain(path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(path), name], cwd=ROOT, stdin=subprocess.PIPE
        )
        for name in "abc"
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=PATIENCE_SECONDS)
    assert [process.returncode for process in processes] == [0] * 3
    assert check_message_log(path) == 75
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    for name in "abc":
        assert [e["term"] for e in events if e["vendor"] == name] == list(range(25))
