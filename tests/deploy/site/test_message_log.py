"""The audit: nobody changes what stands in it without being found out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.site.message_log import GENESIS, TAIL_BYTES, MessageLog
from deploy.site.verification import verify_site
from srflm_flower.site.ledger import TermLedger
from strategies.errors import LedgerError, RunFolderError
from tests.support.deployed import DeployedFederation
from tests.support.tiny import tiny_federation
from tests.support.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "audit.jsonl"


def log_at(path: Path) -> MessageLog:
    """Return the log as a fresh process finds it, with a ledger beside it."""
    return MessageLog(path, TermLedger(path.with_name("ledger.sqlite"), "f"))


def chain_length(path: Path) -> int:
    """Return the number of events by the chain alone, with a ledger that has no anchor of it."""
    return MessageLog(path, TermLedger(path.with_name("new.sqlite"), "f")).check()


def written(path: Path, events: int = 5) -> list[bytes]:
    audit = log_at(path)
    for number in range(events):
        audit.note(vendor="a", type="query.open", term=number, outcome="done")
    return path.read_bytes().splitlines(keepends=True)


def test_every_event_is_noted_with_its_time_after_the_one_before(path: Path) -> None:
    assert chain_length(path) == 0, "no file is an empty audit"
    lines = [json.loads(line) for line in written(path)]
    assert [line["term"] for line in lines] == list(range(5))
    assert lines[0]["after"] == GENESIS
    assert all(line.keys() == lines[0].keys() for line in lines)
    assert chain_length(path) == 5


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
            chain_length(path)
            pytest.fail(what)


def test_earlier_copy_is_intact_up_to_its_own_end(path: Path) -> None:
    lines = written(path)
    path.write_bytes(b"".join(lines[:3]))
    assert chain_length(path) == 3


def test_broken_chain_stays_broken_however_many_events_follow(path: Path) -> None:
    lines = written(path)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    written(path)
    with pytest.raises(LedgerError, match="line 3"):
        chain_length(path)


def test_line_that_a_crash_cut_short_was_never_acknowledged(path: Path) -> None:
    lines = written(path)
    path.write_bytes(b"".join(lines)[:-7])
    assert chain_length(path) == 4
    written(path, 2)
    assert chain_length(path) == 6
    path.write_bytes(lines[0][:9])
    assert chain_length(path) == 0
    written(path, 2)
    assert chain_length(path) == 2


def test_lines_may_be_longer_than_what_is_read_at_once(path: Path) -> None:
    """The numbers in an envelope come from another vendor: they may have any length."""
    audit = log_at(path)
    for length in (1, TAIL_BYTES - 200, TAIL_BYTES, 3 * TAIL_BYTES, 1):
        audit.note(term="9" * length)
        audit.note(term="1")
    assert chain_length(path) == 10


def test_log_that_was_cut_deleted_or_written_anew_is_found_for_ever(path: Path) -> None:
    lines = written(path)
    assert log_at(path).check() == 5
    other = path.parent.parent / "other" / "audit.jsonl"
    anew = [written(other, events) for events in (4, 5, 6, 7)]
    changed = {
        "cut to one line": lines[:1],
        "without its last line": lines[:-1],
        "without its last line, which was half of it": [*lines[:-1], lines[-1][:20]],
        "emptied": [],
        **{f"written anew, {len(content)} lines": content for content in anew},
    }
    for what, content in changed.items():
        before = path.with_name("ledger.sqlite").read_bytes()
        path.write_bytes(b"".join(content))
        for more in (0, 1, 3, 5):  # the site goes on, and nothing that follows hides it
            written(path, more)
            with pytest.raises(LedgerError, match="cut, deleted, or written anew"):
                log_at(path).check()
                pytest.fail(what)
        assert path.with_name("ledger.sqlite").read_bytes() == before, "the anchor stays"
    path.unlink()
    with pytest.raises(LedgerError, match="its 0 lines do not end"):
        log_at(path).check()


@pytest.mark.parametrize("crashes", [1, 2, 3])
def test_crash_between_a_line_and_its_anchor_is_no_alarm(
    path: Path, monkeypatch: pytest.MonkeyPatch, crashes: int
) -> None:
    written(path, 3)

    def crash(*_: object) -> None:
        raise RunFolderError("the power went", "power", "wait", RunFolderError.NOT_WRITABLE)

    for _ in range(crashes):
        with monkeypatch.context() as broken:
            broken.setattr(TermLedger, "set_fact", crash)
            with pytest.raises(RunFolderError):
                log_at(path).note(term=9)
        assert log_at(path).check() == 4, "one line ahead of its anchor, however often it fails"
    written(path, 2)
    assert log_at(path).check() == 6


def test_log_without_an_anchor_is_taken_as_it_is_and_anchored(path: Path) -> None:
    """It is of an older version, or the site's ledger was damaged and is learnt again."""
    lines = written(path)
    path.with_name("ledger.sqlite").unlink()
    assert log_at(path).check() == 5
    written(path, 1)
    assert log_at(path).check() == 6
    path.write_bytes(b"".join(lines))
    with pytest.raises(LedgerError, match="cut, deleted, or written anew"):
        log_at(path).check()


PROCESS = """
import sys
from pathlib import Path
from deploy.site.message_log import MessageLog
from srflm_flower.site.ledger import TermLedger

sys.stdin.readline()
for number in range(25):
    path = Path(sys.argv[1])
    ledger = TermLedger(path.with_name("ledger.sqlite"), "f")
    MessageLog(path, ledger).note(vendor=sys.argv[2], term=number)
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
    assert log_at(path).check() == 75
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    for name in "abc":
        assert [e["term"] for e in events if e["vendor"] == name] == list(range(25))


def test_verify_says_that_the_log_of_a_site_was_cut(tmp_path: Path) -> None:
    sites = DeployedFederation(tmp_path / "f", tiny_federation(tmp_path, ("a", "b")))
    sites.order("a", rounds=1)
    sites.turn()
    log = sites.site("a").settings.state / "audit.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    assert verify_site(sites.site("a")).audited == len(lines) > 3
    log.write_bytes(b"".join(lines[:3]))
    with pytest.raises(LedgerError, match="its 3 lines do not end as the ledger has noted it"):
        verify_site(sites.site("a"))
    log.unlink()
    with pytest.raises(LedgerError, match="deleted"):
        verify_site(sites.site("a"))
