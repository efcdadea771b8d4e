"""No order of events gives a record more than its owner's budget; broken ledgers are found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from clients.privacy.ledger.ledger import PrivacyLedger
from clients.privacy.ledger.manifest import Manifest
from clients.privacy.ledger.place import LedgerPlace, owners_ledger
from clients.privacy.ledger.policy import Budget
from clients.privacy.ledger.rows import Books, Use
from tests.clients.privacy.ledger import owner_machine
from tests.clients.privacy.ledger.owner_machine import OWNERS, Owner, explore, read_as
from tests.support.privacy_ledger import without_waits


def test_no_order_of_events_and_no_form_of_a_file_gives_a_record_more_than_its_budget() -> None:
    explore(30)


# ---- broken variants, each of which must be found ----------------------------------------------


def ledger_of_each_site(patch: pytest.MonkeyPatch) -> None:
    def place(owner: Owner, site: str) -> LedgerPlace:
        return owners_ledger(owner._path(site).with_name("privacy.sqlite"))

    patch.setattr(Owner, "place", place)


def names_by_stored_type(patch: pytest.MonkeyPatch) -> None:
    real = read_as

    def by_type(form: str, data: int) -> Manifest:
        stored = form.partition(".")[0]
        return Manifest.of(f"{stored} {name}" for name in real(form, data).records)

    patch.setattr(owner_machine, "read_as", by_type)


def what_has_no_end_is_free(patch: pytest.MonkeyPatch) -> None:
    def history(books: Books, dataset: str) -> tuple[object, ...]:
        running = [*books.unsettled.values()]
        return tuple(use.mechanism for use in books.uses(dataset) if use not in running)

    patch.setattr(Books, "history", history)


def uses_elsewhere_are_free(patch: pytest.MonkeyPatch) -> None:
    def reserve(ledger: PrivacyLedger, use: Use, budget: Budget) -> object:
        real = Books.uses
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(
                Books,
                "uses",
                lambda books, name: [
                    u for u in real(books, name) if u.federation == use.federation
                ],
            )
            return whole(ledger, use, budget)

    whole = PrivacyLedger.reserve
    patch.setattr(PrivacyLedger, "reserve", reserve)


def overlaps_are_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Books, "group", lambda books, dataset: {dataset})


def anchor_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PrivacyLedger, "_check_reaches", lambda *_: None)


def witness_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PrivacyLedger, "_check_witness", lambda *_: None)


def nothing_is_given_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Books, "retired", lambda *_: False)


@pytest.mark.parametrize(
    "break_it",
    [
        ledger_of_each_site,
        names_by_stored_type,
        what_has_no_end_is_free,
        uses_elsewhere_are_free,
        overlaps_are_not_looked_for,
    ],
)
def test_broken_ledger_is_found(
    break_it: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch)
    with pytest.raises(AssertionError, match="more than the budget"):
        explore(100)


def older_file(owner: Owner, site: str) -> None:
    owner.restore(OWNERS[:1])
    owner.simulate(0, "png")


def older_ledger(owner: Owner, site: str) -> None:
    owner.restore(OWNERS)
    owner.train(site, 0, "png")


def older_file_given_up(owner: Owner, site: str) -> None:
    owner.restore(OWNERS[:1])
    owner.give_up_what_is_unknown(site)
    owner.simulate(0, "png")


@pytest.mark.parametrize(
    ("events", "break_it"),
    [
        (older_file, anchor_is_not_compared),
        (older_ledger, witness_is_not_compared),
        (older_file_given_up, nothing_is_given_up),
    ],
)
def test_copy_put_back_gives_a_budget_anew_in_a_broken_ledger_only(
    events: Callable[[Owner, str], None],
    break_it: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In these orders a copy is put back at the one moment at which it matters."""
    without_waits(monkeypatch)

    def happen() -> None:
        owner = Owner()
        site = owner.join()
        owner.train(site, 0, "png")
        owner.back_up()
        owner.train(site, 0, "png")
        events(owner, site)
        owner.teardown()

    happen()
    break_it(monkeypatch)
    with pytest.raises(AssertionError, match="more than the budget"):
        happen()
