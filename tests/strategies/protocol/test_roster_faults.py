"""Random faults while one member joins and one leaves: one history, and each run completes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from deploy.site.verification import verify_site
from srflm_flower.federation.federation import Federation
from strategies.errors import ConfigurationError
from strategies.protocol.records import TermRecord
from tests.deploy.serving.test_random_faults import Weather, remembered
from tests.support.changing import ChangingFederation, changing_federation
from tests.support.faults import Crash

STEPS = 14
SCHEDULES = 30
LEAVES = "b"


class Unrest(Weather):
    """Weather in which sites switch, or do not, and operators approve when they please."""

    sites: ChangingFederation
    pending: list[tuple[str, Federation]]

    def serves(self, vendor: str) -> None:
        """Let a vendor serve, or ask what it has missed while it is between two editions."""
        if self.random.random() < 0.5:
            self.sites.switch(vendor)
        if vendor not in self.sites.roster or vendor in self.sites.down:
            return
        if self.sites.place(vendor) == "member":
            super().serves(vendor)
            return
        with suppress(Crash):
            self.sites.perform(vendor, kind="sync")

    def propose(self, new: Federation, vendors: tuple[str, ...]) -> None:
        """Give an edition to operators, who will approve it some time."""
        self.pending = [(vendor, new) for vendor in vendors]

    def approvals(self, chance: float) -> None:
        """Let some operators approve."""
        for vendor, new in list(self.pending):
            if self.random.random() < chance and vendor in self.sites.roster:
                with suppress(ConfigurationError):  # its site has not come that far
                    self.sites.approve(new, vendor)
                    self.pending.remove((vendor, new))


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChangingFederation]:
    with changing_federation(tmp_path_factory.mktemp("unrest")) as federation:
        yield federation


def changed_under_fire(sites: ChangingFederation, seed: int) -> set[str]:
    """Check one schedule; return what was special about it."""
    sites.clear()
    sites.order("a", rounds=100)
    weather = Unrest(sites, seed)
    weather.pending = []
    history: dict[int, str] = {}
    second = sites.edition(sites.first, "a", "b", "c", "d")
    third = sites.edition(second, *(vendor for vendor in "abcd" if vendor != LEAVES))
    joins, leaves = sorted(weather.random.sample(range(1, STEPS - 1), 2))
    sites.fault = weather.fault
    for step in range(STEPS):
        if step == joins:
            weather.propose(second, ("a", "b", "c"))
            sites.join("d", second)
        if step == leaves and not weather.pending:
            weather.propose(third, ("a", "b", "c", "d"))
        weather.approvals(chance=0.4)
        weather.cut_off()
        weather.somebody_serves()
        remembered(sites, history)
        weather.lose_a_disk()
    in_bad_weather = {record.hash for vendor in sites.roster for record in sites.records(vendor)}
    weather.clear_up()
    complete(sites, weather, second, third)
    remembered(sites, history)
    weather.clear_up()
    sites.agree()
    found = [verify_site(sites.site(vendor)) for vendor in sites.roster]
    assert sites.roster == ("a", "c", "d")
    assert {len(each.changes) for each in found} == {2}
    for (vendor, _, role), times in sites.trained.items():
        assert role != "client" or vendor == weather.lost_disk or times == 1
    changes = [record for record in sites.records("a") if record.roster_change is not None]
    return {
        word
        for record in changes
        for word, is_so in (
            ("changed in bad weather", record.hash in in_bad_weather),
            ("changed by a stand-in", record.attempt > 0),
            ("proposed again", committed_under(sites, record) > record.attempt),
        )
        if is_so
    }


def committed_under(sites: ChangingFederation, record: TermRecord) -> int:
    """Return the attempt under which a majority accepted a record."""
    return sites.committed("a")[record.term - 1].certificate.attempt


def complete(
    sites: ChangingFederation, weather: Unrest, second: Federation, third: Federation
) -> None:
    """Let the operators go on until both changes have been decided."""
    for new in (second, third):
        for _ in range(20):
            longest = max(sites.roster, key=sites.head)
            if any(
                change.edition.federation == new.hash
                for record in sites.records(longest)
                if (change := record.roster_change) is not None
            ):
                break
            weather.propose(new, new.roster if new is third else ("a", "b", "c"))
            weather.approvals(chance=1.0)
            sites.settle(sites.head(longest) + 1, second, third)
        sites.settle(max(map(sites.head, sites.roster)) + 1, second, third)


@pytest.mark.slow
def test_no_schedule_makes_two_histories_while_the_roster_changes(
    sites: ChangingFederation,
) -> None:
    special: set[str] = set()
    for seed in range(SCHEDULES):
        try:
            special |= changed_under_fire(sites, seed)
        except (AssertionError, Exception) as error:
            raise AssertionError(f"schedule {seed}") from error
    assert special == {"changed in bad weather", "changed by a stand-in", "proposed again"}
