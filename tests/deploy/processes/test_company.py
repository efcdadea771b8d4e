"""Whom a site is connected to: those that are named, and those whose bells were rung lately."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from deploy.processes.bell import Bell
from deploy.processes.company import FILE, LINGER_SECONDS, STARTED, Company, asked_at


class Now:
    """A clock that the test moves, ahead of the real one."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def test_peer_that_knocks_is_wanted_for_a_while(tmp_path: Path) -> None:
    now = Now()
    company = Company(tmp_path, now)
    assert not company.wants("b")
    Bell(tmp_path / "b").ring()
    assert company.wants("b") and not company.wants("c")
    now.ahead = LINGER_SECONDS + 1
    assert not company.wants("b")
    assert company.wants("b", last_message=now()), "it has just sent something"


def test_those_that_may_serve_next_are_wanted_until_others_are(tmp_path: Path) -> None:
    company = Company(tmp_path)
    company.want(["b", "c"])
    assert company.wants("b") and company.wants("c") and not company.wants("d")
    assert company.wanted("abcd") == ["b", "c"]
    company.want(["d"])
    assert company.wants("d") and not company.wants("b")
    company.want(())
    assert not company.wants("d")


def test_program_is_needed_as_long_as_anybody_is_wanted(tmp_path: Path) -> None:
    now = Now()
    company = Company(tmp_path, now)
    assert not company.needs(["worker"])
    company.want(["b"])
    assert company.needs(["worker"])
    company.want(())
    assert not company.needs(["worker"])
    Bell(tmp_path / "worker").ring()
    assert company.needs(["worker"])
    now.ahead = LINGER_SECONDS + 1
    assert not company.needs(["worker"])


def test_program_of_the_supernodes_is_needed_when_any_peer_knocks(tmp_path: Path) -> None:
    company = Company(tmp_path)
    Bell(tmp_path / "worker").ring()
    assert not company.needs("abc"), "another program's bell"
    Bell(tmp_path / "c").ring()
    assert company.needs("abc")


def test_program_that_took_long_to_start_looks_for_its_work_all_the_same(tmp_path: Path) -> None:
    now = Now()
    company = Company(tmp_path, now)
    Bell(tmp_path / "worker").ring()
    now.ahead = LINGER_SECONDS + 10  # it has imported its libraries by then, and is ready
    ready = now()
    assert company.needs(["worker"], ready)
    now.ahead += LINGER_SECONDS + 1
    assert not company.needs(["worker"], ready)


def test_knock_that_is_old_once_the_program_is_ready_is_answered_all_the_same(
    tmp_path: Path,
) -> None:
    now = Now()
    company = Company(tmp_path, now)
    Bell(tmp_path / "long-ago").ring()
    now.ahead = LINGER_SECONDS / 2
    asked = now()
    past = time.time() - LINGER_SECONDS
    os.utime(tmp_path / "long-ago", (past, past))
    for name in ("before", "while-importing"):
        Bell(tmp_path / name).ring()
    peers = ("before", "while-importing", "long-ago", "never")
    now.ahead = 3 * LINGER_SECONDS
    ready = now()
    assert company.wanted(peers) == []
    assert company.wanted(peers, asked, ready) == ["before", "while-importing"]
    now.ahead += LINGER_SECONDS - 1
    assert company.wanted(peers, asked, ready) == ["before", "while-importing"]
    now.ahead += 2
    assert company.wanted(peers, asked, ready) == [], "they have had their time"
    assert not company.needs(peers, ready)


def test_program_never_ends_where_its_supervisor_finds_it_needed(tmp_path: Path) -> None:
    now = Now()
    company = Company(tmp_path, now)
    for ready in (0.0, now(), now() - LINGER_SECONDS):
        for rung in (0.0, now(), now() - LINGER_SECONDS / 2, now() - 2 * LINGER_SECONDS):
            (tmp_path / "b").touch()
            os.utime(tmp_path / "b", (rung, rung))
            assert company.needs("b", ready) or not company.needs("b")
            # And it has a child, or waits for one, no longer than it says that it is needed.
            assert company.needs("b", ready) or not company.wanted("b", ready - 1, ready)


def test_supervisor_says_when_it_found_a_program_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.time()
    assert before <= asked_at() <= time.time(), "nobody has said it"
    monkeypatch.setenv(STARTED, repr(12.5))
    assert asked_at() == 12.5


def test_file_that_is_cut_short_names_nobody(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('["b"')
    assert not Company(tmp_path).wants("b")


def test_file_is_written_when_it_changes_only(tmp_path: Path) -> None:
    company = Company(tmp_path)
    company.want(["b", "c"])
    before = (tmp_path / FILE).stat().st_ino
    company.want(["c", "b"])
    assert (tmp_path / FILE).stat().st_ino == before
