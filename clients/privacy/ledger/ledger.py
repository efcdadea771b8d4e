"""The privacy ledger that a site owns: each use of its records is written down before it begins.

What is reserved counts as spent, whatever happens afterwards.  It lasts over rounds, restarts,
runs, and federations.  A site that has lost its ledger, or has an older copy, does not train.
"""

from __future__ import annotations

import math
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clients.privacy.accounting.accounting import check_mechanism, epsilon, within
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.anchor import (
    Anchor,
    begin_anchor,
    first_parent,
    read_anchor,
    write_anchor,
)
from clients.privacy.ledger.file import RETIRE, LedgerFile
from clients.privacy.ledger.manifest import Manifest
from clients.privacy.ledger.policy import Budget
from clients.privacy.ledger.rows import (
    TRAINING,
    Books,
    Use,
    chained,
    reserve_row,
    retire_row,
)
from strategies.errors import PrivacyError

Account = Callable[[Sequence[Mechanism], float], float]
"""(history, δ) → ε."""

LEDGER_FILE, ANCHOR_FILE = "privacy.sqlite", "privacy.anchor"


@dataclass(frozen=True)
class Reservation:
    """The right to do ``use`` once; row ``number`` of the ledger counts it as spent."""

    number: int
    use: Use


@dataclass(frozen=True)
class Refusal:
    """Why a use may not begin.  Running out is no error: the run goes on with the others."""

    reason: str
    code: str = PrivacyError.BUDGET_SPENT


class PrivacyLedger:
    """The ledger at ``path``; ``anchor`` is a file outside of its folder, beside the site's keys.

    Opened for every use, so that several processes may share it.  Raises :class:`PrivacyError`
    when it is missing, damaged, an older copy, or of another version.
    """

    def __init__(self, path: Path, anchor: Path, clock: Callable[[], float] = time.time) -> None:
        self._file, self._anchor, self._clock = LedgerFile(path), anchor, clock

    # ---- reading -----------------------------------------------------------------------------

    def books(self) -> Books:
        """Return what stands in the ledger, every link verified; of a new site, nothing."""
        anchor = self._anchored()  # before the rows: they are never behind it
        if anchor is None:
            return Books((), "")
        with self._file.reading() as db:
            books = self._file.books(db, anchor.first_parent)
        self._check_reaches(books, anchor)
        return books

    def history(self, dataset: str) -> tuple[Mechanism, ...]:
        """Return all that counts against a data set: uses of it, and of overlapping ones."""
        return self.books().history(dataset)

    def spent(self, dataset: str, delta: float) -> float:
        """Return ε at ``delta`` that a data set's records have been through; ∞ when retired."""
        return spent_in(self.books(), dataset, delta)

    # ---- writing -----------------------------------------------------------------------------

    def enrol(self, manifest: Manifest) -> str:
        """Make a data set known and return its name; what it shares a record with is noted."""
        anchor = self._anchored() or self._begin()
        with self._writing() as (db, books):
            if manifest.hash in books.sizes:
                return manifest.hash
            keyed = manifest.keyed(bytes.fromhex(anchor.key))
            overlaps = [
                other
                for other, digest in books.digests.items()
                if not keyed.isdisjoint(self._file.records(db, other, digest))
            ]
            content: dict[str, object] = {
                "kind": "data-set",
                "dataset": manifest.hash,
                "size": len(manifest.records),
                "records": self._file.keep_records(db, manifest.hash, keyed),
                "overlaps": overlaps,
            }
            self._append(db, books, content)
        self._advance()
        return manifest.hash

    def reserve(self, use: Use, budget: Budget) -> Reservation | Refusal:
        """Count a use as spent and return the right to do it, or say why it does not fit.

        Both are decided while nobody else writes.  When this returns, the reservation is durable.
        Call it before every attempt: one that is repeated draws new noise and is a second use.
        """
        check_mechanism(use.mechanism, trains=use.purpose in TRAINING)
        with self._writing() as (db, books):
            refusal = _excess(books, use.dataset, [use.mechanism], budget) or _too_often(
                books, use, budget
            )
            if refusal is not None:
                return refusal
            number = self._append(db, books, reserve_row(use))
        self._advance()
        return Reservation(number, use)

    def settle(self, reservation: Reservation, steps: int | None = None) -> None:
        """Note that a use has ended, after ``steps`` (all that were reserved when left out).

        Nothing is given back; steps beyond the reserved ones are added.  A second time changes
        nothing.
        """
        done = reservation.use.mechanism.steps if steps is None else steps
        with self._writing() as (db, books):
            if reservation.number not in books.unsettled:
                return
            content: dict[str, object] = {"kind": "settle", "of": reservation.number, "steps": done}
            self._append(db, books, content)
        self._advance()

    def retire(self, datasets: Sequence[str], reason: str) -> None:
        """Count data sets, and all that share a record with them, as spent for ever."""
        with self._writing() as (db, books):
            self._append(db, books, retire_row(datasets, reason))
        self._advance()

    # ---- within ------------------------------------------------------------------------------

    def _append(self, db: sqlite3.Connection, books: Books, content: dict[str, object]) -> int:
        parent = books.rows[-1].hash if books.rows else books.first_parent
        row = chained(len(books.rows) + 1, parent, content | {"time": self._clock()})
        self._file.append(db, row)
        return row.number

    @contextmanager
    def _writing(self) -> Iterator[tuple[sqlite3.Connection, Books]]:
        """Give the ledger as it is while nobody else writes."""
        anchor = self._anchored()
        if anchor is None:
            raise _unknown("an empty ledger", "one that knows the data set")
        with self._file.locked() as db:
            books = self._file.books(db, anchor.first_parent)
            self._check_reaches(books, anchor)
            yield db, books

    def _anchored(self) -> Anchor | None:
        """Return the anchor; None for a site that has never had a ledger."""
        anchor = read_anchor(self._anchor)
        if anchor is not None and anchor.rows == 0:  # it was begun, perhaps not to the end
            self._file.make()
        if anchor is not None and not self._file.exists():
            raise PrivacyError(
                f"no file {self._file.path}, although this site has spent some of its privacy",
                "the privacy ledger as this site wrote it",
                RETIRE,
                PrivacyError.LEDGER_MISSING,
            )
        if anchor is None and self._file.exists():
            raise PrivacyError(
                f"{self._file.path} without {self._anchor}, which tells whether it is the newest",
                "both files",
                RETIRE,
                PrivacyError.LEDGER_ROLLED_BACK,
            )
        return anchor

    def _check_reaches(self, books: Books, anchor: Anchor) -> None:
        """Raise :class:`PrivacyError` unless all that was anchored is in the ledger."""
        hashes = [books.first_parent, *(row.hash for row in books.rows)]
        if anchor.rows >= len(hashes) or hashes[anchor.rows] != anchor.head:
            raise PrivacyError(
                f"{self._file.path} with {len(books.rows)} rows, where row {anchor.rows} was"
                " written before: an older copy, or another ledger",
                "the newest ledger",
                RETIRE,
                PrivacyError.LEDGER_ROLLED_BACK,
            )

    def _begin(self) -> Anchor:
        """Begin the ledger of a new site.  The anchor is first: without rows it binds nobody."""
        key = secrets.token_hex(32)
        first = Anchor(key=key, rows=0, head=first_parent(key))
        anchor = begin_anchor(self._anchor, first)
        self._file.make()
        return anchor

    def _advance(self) -> None:
        """Note the last row in the anchor, while nobody else writes: it never goes back."""
        with self._writing() as (_, books):
            anchor = read_anchor(self._anchor)
            assert anchor is not None
            changes = {"rows": len(books.rows), "head": books.rows[-1].hash}
            write_anchor(self._anchor, anchor.model_copy(update=changes))


def spent_in(books: Books, dataset: str, delta: float, account: Account = epsilon) -> float:
    """Return ε at ``delta`` of a data set; ∞ when it is retired."""
    return math.inf if books.retired(dataset) else account(books.history(dataset), delta)


def affordable_in(books: Books, dataset: str, more: Sequence[Mechanism], budget: Budget) -> bool:
    """Return whether all of ``more`` together would still be within the budget."""
    return _excess(books, dataset, more, budget) is None


def _excess(
    books: Books, dataset: str, more: Sequence[Mechanism], budget: Budget
) -> Refusal | None:
    if dataset not in books.sizes:
        raise _unknown(f"data set {dataset[:12]}", "a data set that was enrolled")
    if books.retired(dataset):
        return Refusal("its past is not known, so that it counts as wholly spent")
    if other := {use.unit for use in books.uses(dataset)} - {budget.unit}:
        return Refusal(
            f"it was used by {other.pop()} before, and now by {budget.unit}: no ε covers both"
        )
    history = (*books.history(dataset), *more)
    if within(history, budget.delta, budget.epsilon):
        return None
    return Refusal(
        f"it would come to ε = {epsilon(history, budget.delta):.3f} at δ = {budget.delta:g}, above"
        f" {budget.epsilon:g}"
    )


def _too_often(books: Books, use: Use, budget: Budget) -> Refusal | None:
    if use.purpose != "server" or budget.server_uses is None:
        return None
    before = sum(
        each.purpose == "server" and each.federation == use.federation
        for each in books.uses(use.dataset)
    )
    if before < budget.server_uses:
        return None
    return Refusal(f"it has served in {before} rounds of this federation, the most that is agreed")


def _unknown(found: str, expected: str) -> PrivacyError:
    return PrivacyError(
        found, expected, "enrol the data set's manifest first", PrivacyError.SETTINGS
    )
