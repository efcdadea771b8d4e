"""No order of events gives a record more than its owner's budget, in however many federations."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clients.privacy.accounting.accounting import epsilon
from clients.privacy.ledger.adoption import adopt, require_adopted
from clients.privacy.ledger.ledger import PrivacyLedger, Reservation
from clients.privacy.ledger.place import LedgerPlace, owners_ledger
from clients.privacy.ledger.policy import Budget
from clients.privacy.ledger.rows import Use
from strategies.errors import PrivacyError
from tests.support.privacy_ledger import DELTA, STEP, manifest, opened, without_waits


@cache
def spent(times: int) -> float:
    return epsilon((STEP,) * times, DELTA)


BUDGET = Budget(spent(2) + 0.001, DELTA)
SITES = ("one", "two", "three")
DATA = ((0, 1), (1, 2), (3,))
"""The records in the data sets that a site can be given; the first two share one."""

site = st.sampled_from(SITES)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("train"), site, st.integers(0, 2)),
        st.tuples(st.just("train"), site, st.integers(0, 2)),
        st.tuples(st.sampled_from(["up", "leave", "restore", "restore all"]), site, st.just(0)),
    ),
    max_size=12,
)
OLDER = st.dictionaries(site, st.lists(st.integers(0, 2), max_size=3), max_size=2)
"""What sites have trained on by an older version, with a ledger in each state folder."""


class Owner:
    """An owner with sites in several federations; counts by itself what each record is used for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: Counter[int] = Counter()
        self.unknown: dict[str, Counter[int]] = defaultdict(Counter)
        """Uses by an older version that the site has not told its owner's ledger yet."""

    def place(self, name: str) -> LedgerPlace:
        ledger = self.folder / "owner" / "privacy.sqlite"
        return owners_ledger(ledger, witness=self.folder / name / "identity" / "anchor")

    def older(self, name: str) -> Path:
        return self.folder / name / "state" / "privacy.sqlite"

    def train_by_older_version(self, name: str, data: int) -> None:
        if reserve(opened(self.folder / name), name, data):
            self.unknown[name].update(DATA[data])

    def train(self, name: str, data: int) -> None:
        try:
            require_adopted(self.older(name))
            granted = reserve(self.place(name).open(), name, data)
        except PrivacyError:
            return
        if granted:
            self.used.update(DATA[data])
            assert all(spent(self.used[record]) <= BUDGET.epsilon for record in DATA[data])

    def up(self, name: str) -> None:
        adopt(self.older(name), self.place(name), {})
        self.used.update(self.unknown.pop(name, Counter()))

    def leave(self, name: str) -> None:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        self.unknown.pop(name, None)

    def restore(self, name: str, *parts: str) -> None:
        for part in parts or ("state",):
            shutil.rmtree(self.folder / name / part, ignore_errors=True)
            copy = self.folder / "copies" / name / part
            if copy.exists():
                shutil.copytree(copy, self.folder / name / part)


def reserve(ledger: PrivacyLedger, federation: str, data: int) -> bool:
    use = Use(ledger.enrol(manifest(*DATA[data])), "client", STEP, federation, 1, 1)
    return isinstance(ledger.reserve(use, BUDGET), Reservation)


@given(OLDER, EVENTS)
# Records that only an older key names; ledgers that cannot be compared; an older file put back.
@example({"one": [0, 0]}, [("up", "one", 0), ("train", "two", 1)])
@example({"one": [1]}, [("train", "two", 0), ("up", "one", 0), ("train", "three", 0)])
@example(
    {"one": [2]},
    [("up", "one", 0), ("train", "one", 2), ("restore", "one", 0), ("up", "one", 0)],
)
@settings(max_examples=30, deadline=None)
def test_no_order_of_events_gives_a_record_more_than_its_owners_budget(
    tmp_path_factory: pytest.TempPathFactory,
    older: dict[str, list[int]],
    events: list[tuple[str, str, int]],
) -> None:
    owner = Owner(tmp_path_factory.mktemp("machine"))
    with pytest.MonkeyPatch.context() as patch:
        without_waits(patch)
        for name, trainings in older.items():
            for data in trainings:
                owner.train_by_older_version(name, data)
            if trainings:
                shutil.copytree(owner.folder / name, owner.folder / "copies" / name)
        for what, name, data in events:  # every event is a restart: nothing stays in memory
            match what:
                case "train":
                    owner.train(name, data)
                case "up":
                    owner.up(name)
                case "leave":
                    owner.leave(name)
                case "restore":
                    owner.restore(name)
                case "restore all":
                    owner.restore(name, "state", "identity")
