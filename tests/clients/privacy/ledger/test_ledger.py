"""A privacy ledger: what is reserved is spent, once for all that share a record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.ledger import PrivacyLedger, Refusal, Reservation
from clients.privacy.ledger.manifest import Manifest
from strategies.errors import PrivacyError
from tests.support.privacy_ledger import (
    AMPLE,
    DELTA,
    ONE,
    STEP,
    TIGHT,
    manifest,
    opened,
    reserved,
    steps,
    use,
)


def test_new_site_has_spent_nothing_and_writes_nothing_to_say_so(
    ledger: PrivacyLedger, tmp_path: Path
) -> None:
    assert ledger.books().rows == ()
    assert ledger.spent(ONE.hash, DELTA) == 0
    assert list(tmp_path.iterdir()) == []


def test_reservation_counts_at_once_and_settling_gives_nothing_back(ledger: PrivacyLedger) -> None:
    name = ledger.enrol(ONE)
    first = reserved(ledger, name)
    assert ledger.history(name) == (STEP,)
    ledger.settle(first, steps=3)
    assert ledger.history(name) == (STEP,)
    assert ledger.books().unsettled == {}


def test_steps_beyond_the_reserved_ones_are_added(ledger: PrivacyLedger) -> None:
    name = ledger.enrol(ONE)
    first = reserved(ledger, name)
    ledger.settle(first, steps=14)
    ledger.settle(first, steps=99)
    assert steps(ledger, name) == 14, "the second settlement changes nothing"


def test_use_that_does_not_fit_is_refused_and_leaves_no_trace(ledger: PrivacyLedger) -> None:
    name = ledger.enrol(ONE)
    while isinstance(ledger.reserve(use(name), TIGHT), Reservation):
        assert ledger.spent(name, DELTA) <= TIGHT.epsilon
    rows = len(ledger.books().rows)
    refusal = ledger.reserve(use(name), TIGHT)
    assert isinstance(refusal, Refusal) and refusal.code == PrivacyError.BUDGET_SPENT
    assert "above 1" in refusal.reason
    assert len(ledger.books().rows) == rows


def test_other_federation_and_other_run_use_the_same_budget(ledger: PrivacyLedger) -> None:
    name = ledger.enrol(ONE)
    before = ledger.spent(name, DELTA)
    for federation in ("a" * 64, "b" * 64, "a" * 64):
        ledger.reserve(replace(use(name), federation=federation), AMPLE)
        after = ledger.spent(name, DELTA)
        assert after > before
        before = after


def test_vendor_serves_no_more_rounds_of_a_federation_than_agreed(ledger: PrivacyLedger) -> None:
    name, budget = ledger.enrol(ONE), replace(AMPLE, server_uses=2)
    serving = use(name, purpose="server")
    found = [ledger.reserve(replace(serving, round=n), budget) for n in range(3)]
    assert [type(each) for each in found] == [Reservation, Reservation, Refusal]
    assert isinstance(ledger.reserve(use(name), budget), Reservation), "it may train as a client"
    other = replace(serving, federation="b" * 64)
    assert isinstance(ledger.reserve(other, budget), Reservation)


def test_training_on_all_records_in_every_step_is_refused(ledger: PrivacyLedger) -> None:
    name, whole = ledger.enrol(ONE), Mechanism(20.0, 1.0, 1)
    with pytest.raises(PrivacyError, match="sample rate of 1"):
        ledger.reserve(use(name, whole), AMPLE)
    assert isinstance(ledger.reserve(use(name, whole, "metrics"), AMPLE), Reservation)


def test_data_set_that_was_not_enrolled_has_no_budget(ledger: PrivacyLedger) -> None:
    for _ in range(2):
        with pytest.raises(PrivacyError, match="enrol"):
            ledger.reserve(use(ONE.hash), AMPLE)
        ledger.enrol(manifest(99))
    with pytest.raises(PrivacyError, match="without records"):
        Manifest.of([])


def test_clock_that_goes_back_changes_no_figure(tmp_path: Path) -> None:
    times = iter([50.0, 60.0, 10.0, 70.0])
    ledger = opened(tmp_path, lambda: next(times))
    name = ledger.enrol(ONE)
    for _ in range(3):
        reserved(ledger, name)
    assert ledger.books().clock_went_back == 1
    assert steps(ledger, name) == 30


# ---- data sets -----------------------------------------------------------------------------------


def test_data_sets_that_share_a_record_share_one_budget(ledger: PrivacyLedger) -> None:
    left, right, apart = (ledger.enrol(manifest(*numbers)) for numbers in ([1, 2], [3, 4], [5, 6]))
    reserved(ledger, left)
    assert steps(ledger, right) == 0
    bridge = ledger.enrol(manifest(2, 3))
    assert [steps(ledger, name) for name in (left, right, bridge, apart)] == [10, 10, 10, 0]
    reserved(ledger, right)
    assert [steps(ledger, name) for name in (left, right, bridge, apart)] == [20, 20, 20, 0]


def test_name_depends_on_the_records_only_and_enrolling_again_changes_nothing(
    ledger: PrivacyLedger,
) -> None:
    assert manifest(1, 2, 3) == manifest(3, 2, 1, 1)
    assert ledger.enrol(manifest(1, 2)) == ledger.enrol(manifest(2, 1)) == manifest(1, 2).hash
    assert len(ledger.books().rows) == 1


def test_file_does_not_tell_which_records_there_are(ledger: PrivacyLedger, tmp_path: Path) -> None:
    ledger.enrol(ONE)
    content = (tmp_path / "state" / "privacy.sqlite").read_bytes()
    for record in ONE.records:
        assert record.encode() not in content and bytes.fromhex(record)[:16] not in content


def test_images_are_used_one_by_one_or_by_patient_and_never_both(ledger: PrivacyLedger) -> None:
    other = ledger.enrol(manifest(200, 201))
    ledger.enrol(ONE)
    by_patient, whole = replace(AMPLE, unit="patient"), replace(use(ONE.hash), unit="patient")
    assert isinstance(ledger.reserve(whole, by_patient), Reservation)
    assert [each.unit for each in ledger.books().uses(ONE.hash)] == ["patient"]
    refusal = ledger.reserve(use(ONE.hash), AMPLE)
    assert isinstance(refusal, Refusal) and "by patient before" in refusal.reason
    reserved(ledger, other)
    refusal = ledger.reserve(replace(whole, dataset=other), by_patient)
    assert isinstance(refusal, Refusal) and "by record before" in refusal.reason
