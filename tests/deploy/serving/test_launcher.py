"""Rules of the rotating launcher, with a clock of its own and no SuperLink."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.serving.job import JobOutcome, ServerJob
from deploy.serving.launcher import Launcher
from deploy.serving.quiet import Quiet
from srflm_flower.site.lapses import ALL_TERMS, FORGETFUL
from srflm_flower.site.ledger import TermLedger
from strategies.protocol.quorum import grant
from strategies.protocol.records import Absence, RunOrder
from strategies.protocol.succession import Timeouts
from tests.support.records import FEDERATION, make_committed, make_record

ROOT = Path(__file__).parents[3]

RANKING = ("a", "b", "c")


class FakeRuns:
    """A SuperLink that starts everything and lets the test say how it ends."""

    def __init__(self) -> None:
        self.started: list[ServerJob] = []
        self.stopped: list[int] = []
        self.over: set[str] = set()
        self.outcomes: dict[str, JobOutcome] = {}
        self.refuses = False

    def start(self, task: ServerJob) -> int:
        if self.refuses:
            raise RuntimeError("no SuperLink")
        self.started.append(task)
        return len(self.started)

    def ended(self, run: int, task: str) -> bool:
        return task in self.over

    def stop(self, run: int) -> None:
        self.stopped.append(run)

    def outcome(self, task: str) -> JobOutcome | None:
        return self.outcomes.get(task)

    def end(self, result: str, **fields: object) -> None:
        task = self.started[-1].name
        self.outcomes[task] = JobOutcome.model_validate({"task": task, "result": result} | fields)


class Bench:
    """A launcher for one vendor, its ledger, and a clock that the test moves."""

    def __init__(self, folder: Path, vendor: str) -> None:
        self.now = 0.0
        self.events: list[str] = []
        self.ledger = TermLedger(folder / "ledger.sqlite", FEDERATION)
        self.runs = FakeRuns()
        self.launcher = Launcher(
            vendor,
            self.ledger,
            RANKING,
            self.runs,
            lambda: Timeouts(open=5.0, commit=20.0),
            lambda event, **fields: self.events.append(event),
            lambda: self.now,
        )

    def sync(self) -> None:
        self.launcher.step()
        assert self.runs.started[-1].kind == "sync"
        self.runs.end("synced")
        self.launcher.step()

    def order(self, rounds: int, number: int = 1) -> None:
        order = RunOrder(number=number, federation=FEDERATION, rounds=rounds, vendor="a")
        self.ledger.keep_order(order)

    def at(self, now: float) -> list[int]:
        """Step at a time; return the attempts that were served so far."""
        self.now = now
        self.launcher.step()
        return [task.attempt for task in self.runs.started if task.kind == "serve"]


@pytest.fixture
def elected(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, "a")
    bench.sync()
    return bench


@pytest.fixture
def next_in_line(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, "b")
    bench.sync()
    return bench


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


def test_idle_site_asks_every_half_minute_what_it_has_missed(elected: Bench) -> None:
    assert syncs(elected, 100.0) == [30.0, 60.0, 90.0]
    assert len(syncs(elected, 86400.0, 101.0, 100.0)) < 200, "and more rarely when nothing happens"
    elected.ledger.append(make_committed(make_record(1)))
    assert syncs(elected, 86431.0, 86401.0)[-1] == 86431.0


def test_idle_site_asks_when_a_peer_comes_online(elected: Bench) -> None:
    peers = {"a"}
    elected.launcher.quiet.online = lambda: frozenset(peers)
    syncs(elected, 7200.0, 0.0, 60.0)
    peers.add("b")
    (first, *_) = syncs(elected, 7210.0, 7201.0)
    assert first <= 7206.0
    peers.remove("b")
    assert syncs(elected, 7230.0, 7211.0) == []


def test_site_that_has_just_heard_something_looks_for_no_peers() -> None:
    looks = list[float]()
    quiet = Quiet(lambda: looks.append(now) or frozenset())  # type: ignore[func-returns-value]
    for now in map(float, range(60)):  # a new term every third second, for half a minute
        quiet.is_due(min(now, 30.0) // 3, now)
    assert [look for look in looks if 0 < look < 35] == []
    assert looks[1] == 35.0


def test_site_that_missed_the_last_commit_of_a_run_asks_before_its_turn_comes(
    next_in_line: Bench,
) -> None:
    next_in_line.order(3)
    next_in_line.launcher.timeouts = lambda: Timeouts(open=60.0, commit=3600.0)
    with next_in_line.ledger.deciding() as db:
        next_in_line.ledger.keep_votes(db, grant(next_in_line.ledger.votes_in(db, 1), 0))
    assert syncs(next_in_line, 35.0) == [30.0]


def test_turn_does_not_wait_for_a_sync(next_in_line: Bench) -> None:
    next_in_line.at(1.0)
    next_in_line.at(31.0)
    assert next_in_line.launcher.serving is not None
    next_in_line.order(3)
    next_in_line.at(32.0)
    assert next_in_line.at(37.1) == [1]
    assert next_in_line.runs.stopped == [2]


def test_sync_that_fails_delays_no_turn(elected: Bench) -> None:
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
