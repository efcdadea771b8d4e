"""A launcher with a clock of its own and no SuperLink."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from deploy.serving.job import JobOutcome, ServerJob
from deploy.serving.launcher import Launcher
from srflm_flower.site.ledger import TermLedger
from strategies.protocol.records import RunOrder
from strategies.protocol.succession import Timeouts
from tests.support.records import FEDERATION

RANKING = ("a", "b", "c")


class FakeRuns:
    """A SuperLink that starts everything and lets the test say how it ends."""

    def __init__(self) -> None:
        self.started: list[ServerJob] = []
        self.doubted: list[frozenset[str]] = []
        self.stopped: list[int] = []
        self.over: set[str] = set()
        self.outcomes: dict[str, JobOutcome] = {}
        self.refuses = False

    def start(self, task: ServerJob, doubted: Collection[str] = ()) -> int:
        if self.refuses:
            raise RuntimeError("no SuperLink")
        self.started.append(task)
        self.doubted.append(frozenset(doubted))
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
        self.ledger_folder = folder
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
