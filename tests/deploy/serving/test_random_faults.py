"""No random schedule of faults makes two histories, and each run completes when the faults stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from flwr.app import Message

from srflm_flower.run.memory_grid import Deliver
from strategies.protocol.quorum import own_attempt
from tests.support.deployed import pass_on
from tests.support.faults import Crash
from tests.support.quick_sites import QuickFederation, quick_federation

TERMS = 3
STEPS = 6
MAX_AT_ONCE = 3


class Weather:
    """Loses, repeats, and delays messages, kills servers, and starts others in between."""

    def __init__(self, sites: QuickFederation, seed: int) -> None:
        self.sites, self.random = sites, Random(seed)
        self.severity = self.random.choice((0.02, 0.06, 0.15))
        sites.launchers_know_nodes = self.random.random() < 0.5
        self.delayed: list[Callable[[], object]] = []
        self.serving = 0
        self.lost_disk: str | None = None

    def fault(self, server: str, site: str, message: Message, deliver: Deliver) -> Message | None:
        """Let one message through, or not."""
        self._deliver_late_ones(chance=0.05)
        if self._happens(0.3):
            raise Crash
        if self._happens(0.3) and self.serving < MAX_AT_ONCE:
            self.somebody_serves()
        if self._happens(1.0):
            self.delayed.append(lambda: deliver(message))
            return None
        if self._happens(1.0):
            return None
        reply = deliver(message)
        if self._happens(0.5):
            deliver(message)
        if self._happens(0.3):
            raise Crash
        return None if self._happens(1.0) else reply

    def somebody_serves(self) -> None:
        """Let a vendor try an attempt of its own, whether it is its turn or not."""
        self.serves(self.random.choice(self.sites.roster))

    def serves(self, vendor: str) -> None:
        """Let this vendor try an attempt of its own."""
        if vendor in self.sites.down:
            return
        site = self.sites.site(vendor)
        view = site.site.participant.view()
        least = max(0, view.attempt + self.random.choice((0, 0, 0, 1)))
        self.serving += 1
        try:
            if not site.state.ledger.is_sure():
                self.sites.perform(vendor, kind="sync")
            self.sites.perform(vendor, attempt=own_attempt(vendor, view.ranking, least))
        except Crash:
            if self.random.random() < 0.5:
                self.sites.restart(vendor)
        finally:
            self.serving -= 1

    def lose_a_disk(self) -> None:
        """Let one site, once, lose all that it has promised and all that it knows."""
        if self.lost_disk is None and self.random.random() < 0.1:
            self.lost_disk = self.random.choice(self.sites.roster)
            self.sites.lose_disk(self.lost_disk)

    def cut_off(self) -> None:
        """Let another set of sites be down: possibly a majority."""
        self.sites.down = {v for v in self.sites.roster if self.random.random() < 0.15}

    def clear_up(self) -> None:
        """Let every site come back, and what was delayed arrive, in any order."""
        self.sites.fault, self.sites.down = pass_on, set()
        self._deliver_late_ones(chance=1.0)

    def _deliver_late_ones(self, chance: float) -> None:
        for arrive in self.random.sample(self.delayed, len(self.delayed)):
            if self.random.random() < chance:
                arrive()
        if chance == 1.0:
            self.delayed.clear()

    def _happens(self, factor: float) -> bool:
        return self.random.random() < self.severity * factor


SECURE = {"aggregation__secure": True, "evaluate_averaged": False}


@pytest.fixture(scope="module", params=["abc", "abcde"])
def sites(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QuickFederation]:
    folder = tmp_path_factory.mktemp("sites")
    with quick_federation(folder, tuple(request.param)) as federation:
        yield federation


def weathered(sites: QuickFederation, seed: int) -> None:
    """Check one schedule."""
    sites.clear()
    sites.order("b", rounds=TERMS)
    weather = Weather(sites, seed)
    sites.fault = weather.fault
    history: dict[int, str] = {}
    for _ in range(STEPS):
        weather.cut_off()
        weather.somebody_serves()
        remembered(sites, history)
        weather.lose_a_disk()
    weather.clear_up()
    sites.run_to(TERMS)
    weather.clear_up()
    remembered(sites, history)
    sites.agree()
    assert all(sites.head(vendor) >= TERMS for vendor in sites.roster)
    for vendor, round_number, role in sites.trained:
        if role == "client" and vendor != weather.lost_disk:
            assert sites.trained[vendor, round_number, role] == 1


def remembered(sites: QuickFederation, history: dict[int, str]) -> None:
    """Check that whatever any site has ever had as committed still is what all have."""
    for vendor in sites.roster:
        for term, record in enumerate(sites.records(vendor), start=1):
            assert record.term == term
            assert history.setdefault(term, record.hash) == record.hash, (vendor, term)


@pytest.mark.slow
def test_no_schedule_makes_two_histories_and_each_run_completes(sites: QuickFederation) -> None:
    schedules = 100 if len(sites.roster) == 3 else 20
    results: set[str] = set()
    for seed in range(schedules):
        try:
            weathered(sites, seed)
        except (AssertionError, Exception) as error:
            raise AssertionError(f"schedule {seed} of {sites.roster}") from error
        results |= {outcome.result for _, outcome in sites.outcomes}
    found = {"committed", "outvoted", "yielded", "caught-up", "failed", "ordered", "synced"}
    assert results == found


@pytest.mark.slow
def test_with_secure_aggregation_each_run_completes_too(tmp_path: Path) -> None:
    with quick_federation(tmp_path, tuple("abcde"), **SECURE) as sites:
        for seed in range(20):
            try:
                weathered(sites, seed)
            except (AssertionError, Exception) as error:
                raise AssertionError(f"schedule {seed}") from error
