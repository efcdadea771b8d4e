"""Rules of the rotating launcher, with a clock of its own and no SuperLink."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from srflm_flower.site.lapses import ALL_TERMS, FORGETFUL
from strategies.protocol.quorum import grant
from strategies.protocol.records import Absence
from strategies.protocol.succession import Timeouts
from tests.deploy.serving.launcher_bench import Bench
from tests.support.records import make_committed, make_record

ROOT = Path(__file__).parents[3]


def test_nothing_is_started_before_the_site_has_asked_what_it_missed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "a")
    bench.order(3)
    assert bench.at(0.0) == []
    assert [task.kind for task in bench.runs.started] == ["sync"]


def test_nothing_is_started_without_an_order_or_after_it_is_fulfilled(elected: Bench) -> None:
    assert elected.at(100.0) == []
    elected.order(1)
    elected.ledger.append(make_committed(make_record(1)))
    assert elected.at(200.0) == []


def test_elected_vendor_serves_at_once(elected: Bench) -> None:
    elected.order(3)
    assert elected.at(1.0) == [0]
    assert elected.at(2.0) == [0], "once"


def test_next_in_line_stands_in_when_the_elected_vendor_does_not_open(next_in_line: Bench) -> None:
    next_in_line.order(3)
    assert next_in_line.at(1.0) == []
    assert next_in_line.at(5.9) == []
    assert next_in_line.at(6.1) == [1]


def test_next_in_line_waits_for_an_open_term(next_in_line: Bench) -> None:
    next_in_line.order(3)
    next_in_line.at(1.0)
    with next_in_line.ledger.deciding() as db:
        votes = next_in_line.ledger.votes_in(db, 1)
        next_in_line.ledger.keep_votes(db, grant(votes, 0))
    assert next_in_line.at(4.0) == []
    assert next_in_line.at(23.9) == []
    assert next_in_line.at(24.1) == [1]


def test_server_whose_process_is_gone_goes_on_with_its_attempt(elected: Bench) -> None:
    elected.order(3)
    elected.at(1.0)
    elected.runs.over.add(elected.runs.started[-1].name)
    assert elected.at(2.0) == [0]
    assert elected.at(3.1) == [0, 0]
    assert "without an outcome" in elected.launcher.problem


def test_failures_are_retried_ever_more_slowly(elected: Bench) -> None:
    elected.order(3)
    gaps, last, now = [], 0.0, 1.0
    elected.at(now)
    while len(gaps) < 5:
        served = len(elected.at(now))
        if elected.launcher.serving is not None:
            elected.runs.end("failed", code="SRFLM-F1", text="no majority")
            elected.at(now)
            gaps.append(now - last)
            last = now
        now += 0.25
        assert served < 50
    assert gaps[1:] == sorted(gaps[1:])
    assert gaps[-1] > gaps[1]


def yields(bench: Bench, vendor: str, attempt: int) -> None:
    failed = Absence(vendor=vendor, phase="finetune", code="SRFLM-D1", attempt=attempt)
    bench.ledger.keep_yielded(1, failed)


def test_server_that_cannot_do_its_own_part_tries_again_after_the_others_only(
    elected: Bench,
) -> None:
    elected.order(3)
    elected.at(1.0)
    yields(elected, "a", 0)
    elected.runs.end("yielded", code="SRFLM-D1", text="a lost as server in finetune: SRFLM-D1")
    assert elected.at(2.0) == [0]
    assert "SRFLM-D1" in elected.launcher.problem
    assert elected.at(16.9) == [0]
    assert elected.at(17.1) == [0, 3], "after b and c, and a time-out more"


def test_next_in_line_stands_in_once_it_hears_that_the_server_yields(next_in_line: Bench) -> None:
    next_in_line.order(3)
    next_in_line.at(1.0)
    with next_in_line.ledger.deciding() as db:
        next_in_line.ledger.keep_votes(db, grant(next_in_line.ledger.votes_in(db, 1), 0))
    assert next_in_line.at(8.0) == []
    yields(next_in_line, "a", 0)
    assert next_in_line.at(9.0) == [1]


def test_site_of_the_vendor_after_the_next_waits_as_long_as_for_an_opening(tmp_path: Path) -> None:
    last = Bench(tmp_path, "c")
    last.sync()
    last.order(3)
    last.at(1.0)
    yields(last, "a", 0)
    assert last.at(2.0) == []
    assert last.at(3.0) == [], "that it has yielded counts from the first look"
    assert last.at(6.9) == []
    assert last.at(7.1) == [2]


def test_launcher_that_fails_for_hours_goes_on_trying(elected: Bench) -> None:
    elected.order(3)
    elected.runs.refuses = True
    for retry in range(1100):
        elected.at(1.0 + 16.0 * retry)
    assert elected.events.count("failed") == 1100
    elected.runs.refuses = False
    assert elected.at(1.0 + 16.0 * 1100)


def test_server_that_is_outvoted_leaves_the_term_to_the_other(elected: Bench) -> None:
    elected.order(3)
    elected.at(1.0)
    elected.runs.end("outvoted", attempt=1)
    assert elected.at(2.0) == [0]
    assert elected.at(20.0) == [0]
    assert elected.at(27.1) == [0, 3], "after c, which is before it in the succession"


def test_run_that_was_overtaken_is_stopped(elected: Bench) -> None:
    elected.order(3)
    elected.at(1.0)
    with elected.ledger.deciding() as db:
        elected.ledger.keep_votes(db, grant(elected.ledger.votes_in(db, 1), 1))
    elected.at(2.0)
    assert elected.runs.stopped == [2]


def test_server_that_has_committed_may_tell_the_others(elected: Bench) -> None:
    elected.order(3)
    elected.at(1.0)
    elected.ledger.append(make_committed(make_record(1)))
    elected.at(2.0)
    assert elected.runs.stopped == []
    elected.at(8.0)
    assert elected.runs.stopped == [2], "but not for ever"


def test_forgetful_site_asks_before_it_serves(elected: Bench) -> None:
    elected.order(3)
    elected.ledger.set_fact(FORGETFUL, ALL_TERMS)
    elected.at(1.0)
    assert [task.kind for task in elected.runs.started] == ["sync", "sync"]


def test_superlink_that_does_not_answer_is_tried_again(elected: Bench) -> None:
    elected.order(3)
    elected.runs.refuses = True
    assert elected.at(1.0) == []
    elected.runs.refuses = False
    assert elected.at(1.5) == []
    assert elected.at(2.1) == [0]


def syncs(bench: Bench, until: float, since: float = 0.0, pace: float = 1.0) -> list[float]:
    """Step every ``pace`` seconds; return the times at which a sync was started."""
    found, now = [], since
    while now <= until:
        before = len(bench.runs.started)
        bench.at(now)
        if len(bench.runs.started) > before:
            found.append(now)
            bench.runs.end("synced")
        now += pace
    assert {task.kind for task in bench.runs.started} == {"sync"}
    return found


def test_idle_site_asks_rarely_as_asking_wakes_all_others(elected: Bench) -> None:
    assert syncs(elected, 7300.0, 0.0, 10.0) == [3600.0, 7200.0]
    assert len(syncs(elected, 10 * 86400.0, 7400.0, 100.0)) < 60, "and more rarely later"


def test_idle_site_asks_when_a_peer_has_news(elected: Bench) -> None:
    news = [False]
    elected.launcher.quiet.news = lambda: news[0]
    syncs(elected, 60.0)
    news[0] = True
    assert syncs(elected, 62.0, 61.0)[0] == 61.0
    assert len(syncs(elected, 80.0, 63.0)) <= 4, "a peer that tells lies moves it now and then only"


def test_site_that_missed_the_last_commit_of_a_run_asks_before_its_turn_comes(
    next_in_line: Bench,
) -> None:
    next_in_line.order(3)
    next_in_line.launcher.timeouts = lambda: Timeouts(open=60.0, commit=3600.0)
    with next_in_line.ledger.deciding() as db:
        next_in_line.ledger.keep_votes(db, grant(next_in_line.ledger.votes_in(db, 1), 0))
    next_in_line.launcher.quiet.news = lambda: next_in_line.now >= 20.0
    assert syncs(next_in_line, 24.0) == [20.0]


def test_turn_does_not_wait_for_a_sync(next_in_line: Bench) -> None:
    next_in_line.at(1.0)
    next_in_line.launcher.quiet.news = lambda: True
    next_in_line.at(31.0)
    assert next_in_line.launcher.serving is not None
    next_in_line.order(3)
    next_in_line.at(32.0)
    assert next_in_line.at(37.1) == [1]
    assert next_in_line.runs.stopped == [2]


def test_sync_that_fails_delays_no_turn(elected: Bench) -> None:
    elected.launcher.quiet.news = lambda: True
    elected.at(31.0)
    elected.at(62.0)
    elected.runs.end("failed", code="SRFLM-F1", text="no majority")
    elected.order(3)
    assert elected.at(62.1) == [0]
    assert "SRFLM-F1" in elected.launcher.problem


def test_launcher_needs_no_torch() -> None:
    """At every site it runs all day beside the worker, which has torch in memory already."""
    program = (
        "import deploy.serving.launcher, sys; print(sorted({'torch', 'monai'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "[]\n"
