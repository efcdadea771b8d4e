"""A privacy ledger, as several processes see it one after the other."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.file import LedgerFile
from clients.privacy.ledger.ledger import PrivacyLedger, Reservation
from clients.privacy.ledger.manifest import Manifest
from clients.privacy.ledger.place import LedgerPlace
from clients.privacy.ledger.policy import Budget
from clients.privacy.ledger.rows import Use

DELTA = 1e-5
STEP = Mechanism(2.0, 0.05, 10)
AMPLE, TIGHT = Budget(50.0, DELTA), Budget(1.0, DELTA)


def manifest(*records: int) -> Manifest:
    return Manifest.of(hashlib.sha256(bytes([record])).hexdigest() for record in records)


ONE = manifest(*range(10))


def opened(folder: Path, clock: Callable[[], float] = lambda: 1000.0) -> PrivacyLedger:
    """Return the ledger as another process sees it."""
    return PrivacyLedger(folder / "state" / "privacy.sqlite", folder / "identity" / "anchor", clock)


def place(folder: Path) -> LedgerPlace:
    """Return where that ledger is."""
    return LedgerPlace(folder / "state" / "privacy.sqlite", folder / "identity" / "anchor")


def use(dataset: str, mechanism: Mechanism = STEP, purpose: str = "client", round: int = 1) -> Use:
    return Use(dataset, purpose, mechanism, "f" * 64, round, round)  # type: ignore[arg-type]


def reserved(ledger: PrivacyLedger, dataset: str, budget: Budget = AMPLE) -> Reservation:
    found = ledger.reserve(use(dataset), budget)
    assert isinstance(found, Reservation)
    return found


def steps(ledger: PrivacyLedger, dataset: str) -> int:
    return sum(mechanism.steps for mechanism in ledger.history(dataset))


def without_waits(patch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk: what ends in such a test is never the machine."""

    def quick(file: LedgerFile) -> sqlite3.Connection:
        db = sqlite3.connect(file.path, isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")
        return db

    patch.setattr(LedgerFile, "_connect", quick)
    patch.setattr("os.fsync", lambda _: None)
