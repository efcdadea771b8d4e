"""What a launcher does between two editions of the federation file."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.serving.launcher import Launcher
from deploy.serving.roster_watch import SETTLE_SECONDS, RosterWatch
from srflm_flower.site.ledger import TermLedger
from strategies.protocol.records import Edition, RosterChange, RunOrder
from strategies.protocol.succession import Timeouts
from tests.deploy.serving.launcher_bench import FakeRuns
from tests.support.records import FEDERATION, make_committed, make_record

FIRST = Edition(federation=FEDERATION, roster=("a", "b"))
SECOND = Edition(federation="2" * 64, roster=("b", "c"))


class Site:
    """A vendor's launcher with a ledger whose first record changes the roster from a, b to b, c."""

    def __init__(self, folder: Path, vendor: str, own: Edition = FIRST) -> None:
        self.now, self.events = 0.0, [""]
        self.file = folder / "federation.new.toml"
        self.ledger = TermLedger(folder / "ledger.sqlite", FEDERATION)
        self.runs = FakeRuns()
        self.launcher = Launcher(
            vendor,
            self.ledger,
            FIRST.roster,
            self.runs,
            lambda: Timeouts(open=5.0, commit=20.0),
            lambda event, **fields: self.events.append(event),
            lambda: self.now,
            RosterWatch(vendor, self.ledger, FIRST, own, lambda edition: self.file),
        )
        order = RunOrder(number=1, federation=FEDERATION, rounds=9, vendor="a")
        self.ledger.keep_order(order)

    def change(self) -> None:
        change = RosterChange(edition=SECOND, approvals={})
        record = make_record(1, ranking=("b", "c"), roster_change=change)
        self.ledger.append(make_committed(record))

    def at(self, now: float) -> list[str]:
        """Step; return the kinds of the tasks that were started so far."""
        self.now = now
        self.launcher.step()
        return [task.kind for task in self.runs.started]

    def sync(self) -> None:
        self.at(0.0)
        self.runs.end("synced")
        self.at(0.0)


def test_site_is_started_anew_once_the_answers_are_out(tmp_path: Path) -> None:
    site = Site(tmp_path, "b")
    site.sync()
    site.file.touch()
    site.change()
    assert site.at(5.0) == ["sync"], "b is elected, but not as the site that it is now"
    assert not site.launcher.over
    site.at(5.0 + SETTLE_SECONDS)
    assert site.launcher.over


def test_server_of_the_change_tells_the_others_first(tmp_path: Path) -> None:
    site = Site(tmp_path, "a")
    site.sync()
    assert site.at(1.0) == ["sync", "serve"]
    site.file.touch()
    site.change()
    site.at(2.0)
    site.at(2.5 + SETTLE_SECONDS)
    assert not site.launcher.over, "its run still tells the others"
    site.runs.end("committed")
    site.at(3.0 + SETTLE_SECONDS)
    assert site.launcher.over


def test_site_without_the_file_waits_and_says_so(tmp_path: Path) -> None:
    site = Site(tmp_path, "b")
    site.sync()
    site.change()
    for now in (1.0, 50.0, 100.0):
        assert site.at(now) == ["sync"]
    assert not site.launcher.over
    assert "the roster changed with term 1: give this site the new" in site.launcher.problem
    assert site.events.count("failed") == 1
    site.file.touch()
    site.at(101.0)
    site.at(101.0 + SETTLE_SECONDS)
    assert site.launcher.over


def test_site_that_has_left_ends(tmp_path: Path) -> None:
    site = Site(tmp_path, "a")
    site.sync()
    site.change()
    site.runs.end("committed")
    site.at(1.0)
    site.at(1.0 + SETTLE_SECONDS)
    assert site.launcher.over


@pytest.mark.parametrize("vendor", ["b", "c"])
def test_site_that_runs_with_an_edition_ahead_of_its_ledger_only_asks(
    tmp_path: Path, vendor: str
) -> None:
    site = Site(tmp_path, vendor, own=SECOND)
    site.sync()
    assert site.at(1.0) == ["sync", "sync"], "the others may not have had it yet"
    site.change()
    site.runs.end("caught-up")
    site.at(2.0)
    assert site.at(20.0)[-1] == "serve"
