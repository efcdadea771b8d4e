"""Look at a site's files, and tell what they say now.  Nothing is changed."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

import psutil

from clients.files.locks import is_held
from deploy.identity.certificates import read_certificate
from deploy.page.config import PageConfig
from deploy.page.contacts import Contacts
from deploy.page.history import History
from deploy.page.ledger_glance import LedgerGlance
from deploy.page.log_following import FollowedLog
from deploy.page.snapshot import ProgramSeen, Snapshot
from deploy.processes.supervisor import ProcessTable
from deploy.site.diagnosis import read_diagnosis
from deploy.site.problems import problems_in
from strategies.errors import SrflmError
from strategies.protocol.quorum import NONE_SEEN

AT_ONCE = 50
"""Records that one look reads and checks: a long ledger is read in several looks."""
REFUSALS = 50
PROBLEMS = 20
CERTIFICATES = ("site.crt", "consortium-ca.crt", "loopback.crt", "loopback-ca.crt")


@dataclass
class Watcher:
    """Looks at one site; a look is for one thread at a time, the last :attr:`seen` is for all."""

    config: PageConfig
    clock: Callable[[], float] = time.time
    seen: Snapshot = field(default_factory=lambda: Snapshot(0.0, ""))
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        files, config = self.config.files, self.config
        self._ledger = LedgerGlance(files.ledger)
        self._history = History(config.first, config.metric)
        self._audit = FollowedLog(files.audit)
        self._events = FollowedLog(files.logs / "events.jsonl")
        names = ("launcher", "supervisor", "refusals")
        self._logs = {name: FollowedLog(files.logs / f"{name}.jsonl", 200) for name in names}
        self._contacts = Contacts(files.edge_logs)
        self._refused = Counter[str]()

    def look(self) -> Snapshot:
        """Read what is new; return what is known now."""
        with self._alone:
            for event in self._audit.look():
                # A counter begins when its program does: the first look finds what was before.
                if self.seen.version and event.get("outcome", "done") != "done":
                    self._refused[str(event["outcome"])] += 1
            for log in (self._events, *self._logs.values()):
                log.catch_up()
            self._contacts.look()
            found = self._with_ledger(self._with_files(Snapshot(self.clock(), "")))
            self.seen = replace(found, version=self._version(found))
            return self.seen

    def look_at_all(self) -> Snapshot:
        """Look until the whole ledger is read."""
        found = self.look()
        while found.terms_known > len(found.terms):
            before, found = found, self.look()
            if len(before.terms) == len(found.terms):  # the rest cannot be read
                break
        return found

    # ---- the ledger ----------------------------------------------------------------------------

    def _with_ledger(self, found: Snapshot) -> Snapshot:
        known, order, attempt, unread = 0, None, NONE_SEEN, None
        try:
            known, order = self._read_on(), self._ledger.order()
            if known == self._history.head[0]:  # else the open term is not known yet
                attempt = self._ledger.attempt(known + 1)
        except SrflmError as error:  # a site that was never up has no ledger yet
            unread = error.found if self.config.files.ledger.exists() else None
        history = self._history
        return replace(
            found,
            terms=tuple(history.terms),
            terms_known=max(known, len(history.terms)),
            last=history.last,
            edition=history.editions.last,
            served=history.served,
            terms_served=dict(history.terms_served),
            rounds_trained=dict(history.rounds_trained),
            invalid=history.invalid,
            attempt=attempt,
            rounds_ordered=order.rounds if order is not None else None,
            unread=unread,
        )

    def _read_on(self) -> int:
        """Read the next records; return the number of all."""
        known, _ = self._ledger.head()
        term, digest = self._history.head
        if term and self._ledger.hash_of(term) != digest:  # restored, or another site's
            self._history, term = History(self.config.first, self.config.metric), 0
        if term < known:
            for committed in self._ledger.committed(term + 1, AT_ONCE):
                self._history.add(committed)
        return known

    # ---- the other files -----------------------------------------------------------------------

    def _with_files(self, found: Snapshot) -> Snapshot:
        notes = self._notes()
        logs = {name: tuple(log.events) for name, log in self._logs.items()}
        every = [event for log in logs.values() for event in log]
        return replace(
            found,
            up=notes is not None,
            since=notes.since if notes is not None else None,
            programs=tuple(_programs(notes)) if notes is not None else (),
            audit=tuple(self._audit.events),
            events=tuple(self._events.events),
            problems=tuple(problems_in(every)[-PROBLEMS:]),
            refusals=logs["refusals"][-REFUSALS:],
            refused=dict(self._refused),
            peers=self._contacts.peers(self._audit.events),
            outgoing_bytes=self._contacts.outgoing,
            certificates=self._certificates(),
            doctor=read_diagnosis(self.config.files.doctor),
            training_since=self._training_since() if notes is not None else None,
            has_cases=self.config.files.cases.is_file(),
        )

    def _notes(self) -> ProcessTable | None:
        files = self.config.files
        try:
            notes = ProcessTable.model_validate_json(files.notes.read_bytes())
            return notes if is_held(files.lock) else None
        except (OSError, ValueError, SrflmError):
            return None

    def _training_since(self) -> float | None:
        lock = self.config.files.training
        try:
            # The process that takes the lock writes its id into it.
            return lock.stat().st_mtime if is_held(lock) else None
        except (OSError, SrflmError):
            return None

    def _certificates(self) -> dict[str, datetime]:
        found = {}
        for name in CERTIFICATES:
            try:
                found[name] = read_certificate(
                    self.config.files.identity / name
                ).not_valid_after_utc
            except SrflmError:  # `srflm up` refuses it; a page is for what can be seen
                continue
        return found

    def _version(self, found: Snapshot) -> str:
        """Return a short text that changes when what a page shows does."""
        # The time of day is not in it: a browser counts seconds by itself.
        last = found.audit[-1].get("time") if found.audit else None
        newest = found.events[-1].get("time") if found.events else None
        parts = (
            *(found.up, found.programs, found.terms_known, len(found.terms), found.attempt),
            *(
                found.rounds_ordered,
                found.training_since,
                last,
                newest,
                found.problems[-1:],
                len(found.refusals),
            ),
            *(found.doctor, found.has_cases, found.unread, self._history.head, found.invalid),
            sorted((peer, each.failed > each.good) for peer, each in found.peers.items()),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _programs(notes: ProcessTable) -> Iterator[ProgramSeen]:
    for name, process in notes.programs.items():
        again = notes.restarts.get(name, 0)
        yield ProgramSeen(name, psutil.pid_exists(process), again, process)
