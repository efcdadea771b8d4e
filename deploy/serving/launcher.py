"""The rotating launcher: ``python -P -m deploy.serving.launcher CONFIG.json``.

It watches its own site's ledger. When its vendor is elected, or is next in the succession after the
time-outs, it starts the ServerApp of exactly one term on the site's own SuperLink. It reads the
result from the ledger and the outcome file.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from clients.files.event_log import EventLog
from deploy.door.sign import Sign
from deploy.edge.clock_check import watch_clocks
from deploy.processes.backoff import Backoff
from deploy.processes.bell import Bell
from deploy.processes.company import NEXT_SERVERS, Company
from deploy.processes.config import load_config
from deploy.processes.private import keep_private
from deploy.processes.supervisor import ROSTER_CHANGED
from deploy.serving.job import JobOutcome, ServerJob
from deploy.serving.launcher_config import LauncherConfig
from deploy.serving.lookout import Doubts, Lookout
from deploy.serving.looks import watch
from deploy.serving.own_superlink import OwnSuperLink
from deploy.serving.quiet import Quiet
from deploy.serving.roster_watch import Duty, RosterWatch
from deploy.serving.runs import Runs, Serving
from deploy.site.layout import edition_beside
from deploy.site.unreached import unreached_file
from srflm_flower.site.evidence.signed_votes import not_obeyed
from srflm_flower.site.ledger import TermLedger
from strategies.election import Ranking, ranking_after
from strategies.errors import SrflmError
from strategies.protocol.quorum import Votes, owner
from strategies.protocol.records import RunOrder, TermRecord
from strategies.protocol.succession import (
    RECENT_TERMS,
    Seen,
    Timeouts,
    Turn,
    Yielded,
    learnt_timeouts,
    newly_heard,
    next_turn,
)

ASK_SECONDS = 2.0  # between two questions to the SuperLink whether a ServerApp has ended
MIN_RETRY, MAX_RETRY, MAX_SYNC_RETRY = 1.0, 15.0, 3.0  # seconds


@dataclass
class Launcher:
    """Decides, from the ledger and a clock, when to start the ServerApp of the open term.

    ``timeouts`` returns time-outs learnt from the committed records; ``first_ranking`` is the
    succession in term 1. ``roster`` watches for changes of the roster; after one, ``over`` is true
    and the site must restart.
    """

    vendor: str
    ledger: TermLedger
    first_ranking: tuple[str, ...]
    runs: Runs
    timeouts: Callable[[], Timeouts]
    log: Callable[..., None]
    clock: Callable[[], float] = time.monotonic
    roster: RosterWatch | None = None
    quiet: Quiet = field(default_factory=Quiet)
    company: Company | None = None
    lookout: Lookout | None = None
    doubts: Doubts = field(default_factory=Doubts)
    over: bool = False
    serving: Serving | None = None
    problem: str = ""
    resting: bool = False  # whether the last step found no run and nothing to do
    synced: bool = False  # whether this launcher has fetched the terms that its site had missed
    _seen: tuple[int, Seen] | None = None
    _retry_at: float = 0.0
    _retries: Backoff = field(default_factory=lambda: Backoff(MIN_RETRY, MAX_RETRY))
    _over_since: float | None = None
    _asked: float = -ASK_SECONDS
    _yielded: dict[str, Yielded] = field(default_factory=dict)
    _early: str = ""

    def step(self) -> Turn | None:
        """Look at the ledger once and act on it; return this vendor's next turn, if any."""
        head, now, self.resting = self.ledger.last(), self.clock(), False
        term = head.term + 1 if head is not None else 1
        self._follow_run(term, now)
        duty = self._duty(now)
        if duty in ("wait", "end"):
            self.over = duty == "end"
            return None
        # Sync before serving: a site that missed terms would make an attempt at a closed one.
        if duty == "sync" or not self.synced or not self.ledger.is_sure():
            if self.serving is None and now >= self._retry_at:
                self._start(ServerJob(name=uuid.uuid4().hex, kind="sync"), term, now)
            return None
        votes, order = self.ledger.votes(term), self.ledger.open_order()
        # Without a watch the roster stays that of term 1.
        roster = self.roster.own.roster if self.roster is not None else self.first_ranking
        ranking = ranking_after(head, self.first_ranking, roster)
        self._look_after_peers(ranking, votes, order)
        turn = self._turn(ranking, votes, now) if order else None
        if turn is not None and now >= max(turn.due, self._retry_at):
            if self.serving is not None and self.serving.task.kind == "sync":
                self.runs.stop(self.serving.run)  # a turn does not wait for it
                self.serving = None
            if self.serving is None:
                name, attempt = uuid.uuid4().hex, turn.attempt
                task = ServerJob(name=name, kind="serve", attempt=attempt, early=self._early)
                self._start(task, term, now, self._missed_by(head, ranking, attempt))
        # The site may have missed a commit or an order, and nobody would tell it.
        elif (
            self.serving is None
            and now >= self._retry_at
            and self.quiet.is_due((term, votes.granted, self.ledger.order()), now)
        ):
            self._start(ServerJob(name=uuid.uuid4().hex, kind="sync"), term, now)
        if order is None:
            self._seen, self.resting = None, self.serving is None
        return turn

    def _turn(self, ranking: tuple[str, ...], votes: Votes, now: float) -> Turn | None:
        seen = self._look(votes, now)
        if votes.forgetful:  # it may have promised something in this term, so it must not serve
            return None
        liars = frozenset[str]()
        if self.roster is not None:
            liars = not_obeyed(self.ledger, self.roster.own.federation)
        self._yielded = newly_heard(self.ledger.yielded(votes.term), self._yielded, now)
        waits = self.timeouts()
        turn = next_turn(self.vendor, ranking, seen, waits, liars, self._yielded)
        self._early, gone = "", self.lookout.unreached() if self.lookout is not None else ()
        if gone and turn.due > now:  # nobody need wait for a vendor that most cannot reach
            sooner = next_turn(self.vendor, ranking, seen, waits, liars | gone, self._yielded)
            if sooner.due < turn.due:
                (self._early,), turn = gone, sooner
        return turn

    def _look_after_peers(self, ranking: Ranking, votes: Votes, order: RunOrder | None) -> None:
        """Say which peers the site is to be connected to, and which one it waits for."""
        serving = owner(max(votes.granted, 0), ranking)
        if self.company is not None:
            wanted = {*ranking[:NEXT_SERVERS], serving} if order is not None else ()
            self.company.want(tuple(wanted))
        if self.lookout is not None:
            held = self.ledger.order()
            self.lookout.own = Sign(votes.term - 1, held.number if held is not None else 0)
            awaits = order is not None and serving != self.vendor and self.serving is None
            self.lookout.awaited = serving if awaits else None

    def _missed_by(self, head: TermRecord | None, ranking: Ranking, attempt: int) -> frozenset[str]:
        """Return the vendors missed in the last term, or as earlier servers of this one."""
        absent = {each.vendor for each in head.absences} if head is not None else set[str]()
        earlier = {owner(each, ranking) for each in range(attempt)}
        return frozenset((absent | earlier) - {self.vendor})

    def _duty(self, now: float) -> Duty:
        """Return the duty under the current roster; log a problem with the roster once."""
        if self.roster is None:
            return "serve"
        duty, problem = self.roster.duty(now, self.serving is not None)
        if problem and problem != self.problem:
            self.problem = problem
            self.log("failed", problem=problem)
        return duty

    def _look(self, votes: Votes, now: float) -> Seen:
        """Note the site's highest granted attempt, and the time of the first look at it."""
        # A new attempt, granted to another server, starts the time-out again.
        term, granted = votes.term, votes.granted
        if self._seen is None or self._seen[0] != term:
            self._seen = (term, Seen(granted, now))
            self._retries, self._retry_at = Backoff(MIN_RETRY, MAX_RETRY), 0.0
        elif granted > self._seen[1].attempt:
            self._seen = (term, Seen(granted, now))
        return self._seen[1]

    def _start(
        self, task: ServerJob, term: int, now: float, missed: frozenset[str] = frozenset()
    ) -> None:
        try:
            run = self.runs.start(task, self.doubts.about(missed, now))
        except (SrflmError, OSError, RuntimeError) as error:
            self._failed(now, f"the ServerApp could not be started ({type(error).__name__})")
            return
        self.serving, self._over_since = Serving(task, run, term, now), None
        what = "serving" if task.kind == "serve" else task.kind
        self.log(what, term=term, attempt=task.attempt, run=run)

    def _follow_run(self, term: int, now: float) -> None:
        """Note the outcome of an ended run; stop a run without a purpose."""
        serving = self.serving
        if serving is None:
            return
        outcome = self.runs.outcome(serving.task.name)
        if outcome is not None:
            self.serving = None
            self._note(serving, outcome, now)
        elif self._is_over(serving, term, now):
            self.runs.stop(serving.run)
            self.serving = None
            self.log("stopped-run", term=serving.term, run=serving.run)
        elif now - self._asked < ASK_SECONDS:
            return
        # A second look: the outcome may have been written since the first.
        elif self._ended(serving, now) and self.runs.outcome(serving.task.name) is None:
            self.runs.stop(serving.run)
            self.serving = None
            self._failed(now, "the ServerApp ended without an outcome")

    def _ended(self, serving: Serving, now: float) -> bool:
        self._asked = now
        return self.runs.ended(serving.run, serving.task.name)

    def _is_over(self, serving: Serving, term: int, now: float) -> bool:
        """Return whether the run has lost its purpose."""
        if serving.task.kind == "sync":
            return False
        if term == serving.term:
            # This site has voted for a later attempt, so this run cannot win any more.
            return self.ledger.votes(term).granted > serving.task.attempt
        # A run that has just committed its term is still telling the others, so it gets time.
        if self._over_since is None:
            self._over_since = now
        return now - self._over_since > self.timeouts().open

    def _note(self, serving: Serving, outcome: JobOutcome, now: float) -> None:
        self.log(
            "served",
            term=serving.term,
            result=outcome.result,
            code=outcome.code,
            seconds=round(now - serving.since, 3),
        )
        if outcome.result == "outvoted" and outcome.attempt >= serving.task.attempt:
            self._seen = (serving.term, Seen(outcome.attempt, now))
        elif outcome.result == "failed" and serving.task.kind == "sync" and self.synced:
            self.problem = f"{outcome.code}: {outcome.text}"  # no reason to delay a turn
        elif outcome.result == "yielded":  # the turn after it is in the ledger, too
            self.problem = f"{outcome.code}: {outcome.text}"
            self.log("failed", problem=self.problem)
        elif outcome.result == "failed":
            self._failed(now, f"{outcome.code}: {outcome.text}")
        else:
            self.problem = ""
            self.synced |= outcome.result == "synced"

    def _failed(self, now: float, problem: str) -> None:
        """Log a failure and set the time of the next try."""
        self.problem = problem
        wait = self._retries.after()
        # Until a site is synced it can serve no term, so it retries sooner.
        self._retry_at = now + (wait if self.synced else min(wait, MAX_SYNC_RETRY))
        self.log("failed", problem=problem)


def main() -> None:
    """Serve the site in the configuration until SIGTERM."""
    keep_private()
    stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stop.append(number))
    try:
        config = load_config(LauncherConfig, Path(sys.argv[1]))
    except SrflmError as error:
        sys.exit(str(error))
    log = EventLog(config.log)
    ledger = TermLedger(config.ledger, config.first.federation, config.starts)
    superlink = OwnSuperLink(config)
    superlink.prepare(lambda: bool(stop))

    def timeouts() -> Timeouts:
        recent = ledger.records(max(1, len(ledger) - RECENT_TERMS + 1))
        return learnt_timeouts(
            recent,
            config.first_open,
            config.first_commit,
            config.open_timeout,
            config.commit_timeout,
        )

    clocks = config.ways_out, config.root_certificate, log
    threading.Thread(target=watch_clocks, args=clocks, daemon=True).start()
    launcher = Launcher(config.vendor, ledger, config.first_ranking, superlink, timeouts, log)
    launcher.roster = RosterWatch(
        config.vendor,
        ledger,
        config.first,
        config.own,
        lambda edition: edition_beside(config.federation, edition),
    )
    launcher.company = Company(config.bells)
    launcher.lookout = lookout = Lookout(
        superlink.door.look, tuple(config.ways_out), unreached_file(config.run)
    )
    launcher.quiet = Quiet(lookout.take_news)
    lookout.keep_looking()
    log("launcher-ready", vendor=config.vendor)

    def prepare_anew() -> None:
        if superlink.was_restarted():
            log("superlink-restarted")
            superlink.prepare(lambda: bool(stop))

    watch(
        launcher, Bell(config.bells / "launcher"), lambda: bool(stop) or launcher.over, prepare_anew
    )
    if launcher.over:
        log("roster-changed")
        os._exit(ROSTER_CHANGED)  # a normal exit waits five seconds for libraries' threads


if __name__ == "__main__":
    main()
