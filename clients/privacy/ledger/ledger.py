"""A data owner's privacy ledger: every use of its records is written down before it begins.

A reservation counts as spent, whatever happens afterwards, in all later rounds, runs, and
federations. An owner without its ledger, or with an older copy, does not train.
"""

from __future__ import annotations

import math
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

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

Account = Callable[[Sequence[Mechanism], float], float]  # (history, δ) → ε

LEDGER_FILE, ANCHOR_FILE = "privacy.sqlite", "privacy.anchor"


@dataclass(frozen=True)
class Reservation:
    """The right to do ``use`` once; row ``number`` of the ledger counts it as spent."""

    number: int
    use: Use


@dataclass(frozen=True)
class Refusal:
    """The reason why a use must not begin."""

    # Not an exception: an empty budget is expected, and the run continues with the other vendors.

    reason: str
    code: str = PrivacyError.BUDGET_SPENT


class PrivacyLedger:
    """The ledger at ``path`` with its ``anchor``; ``witness`` is a site's own copy of the anchor.

    Methods raise :class:`PrivacyError` if the ledger is missing, damaged, an older copy, or of
    another version; or another one than the witness has seen.
    """

    # The file is opened for every call, so that all processes of the owner's sites can share it.
    def __init__(
        self,
        path: Path,
        anchor: Path,
        clock: Callable[[], float] = time.time,
        witness: Path | None = None,
    ) -> None:
        self._file, self._anchor, self._clock = LedgerFile(path), anchor, clock
        self._witness = witness

    @property
    def path(self) -> Path:
        """The ledger's file."""
        return self._file.path

    # ---- reading -----------------------------------------------------------------------------

    def books(self) -> Books:
        """Return the ledger's content after verifying the chain; for a new site it is empty."""
        # Both before the rows, which may grow but never fall behind them.
        witness, anchor = self._witnessed(), self._anchored()
        if anchor is None:
            self._check_witness(Books((), ""), witness)
            return Books((), "")
        with self._file.reading() as db:
            books = self._file.books(db, anchor.first_parent)
        self._check_reaches(books, anchor)
        self._check_witness(books, witness)
        return books

    def history(self, dataset: str) -> tuple[Mechanism, ...]:
        """Return all that counts against a data set, uses of overlapping ones included."""
        return self.books().history(dataset)

    def spent(self, dataset: str, delta: float) -> float:
        """Return the ε at ``delta`` that a data set has spent; ∞ if it is retired."""
        return spent_in(self.books(), dataset, delta)

    # ---- writing -----------------------------------------------------------------------------

    def enrol(self, manifest: Manifest) -> str:
        """Enter a data set, with the known ones that share a record with it; return its name."""
        self.begin()
        with self.writing() as (db, books):
            if manifest.hash in books.sizes:
                return manifest.hash
            anchor = read_anchor(self._anchor)  # under the lock: a key may have been added
            assert anchor is not None
            keys = [bytes.fromhex(key) for key in (anchor.key, *anchor.older_keys)]
            keyed = manifest.keyed(keys[0])
            # Data sets that an older version entered hold the names of that version only.
            known = keyed.union(
                *(
                    names
                    for key in keys
                    for names in (manifest.keyed(key), manifest.keyed_older(key))
                )
            )
            overlaps = [
                other
                for other, digest in books.digests.items()
                if not known.isdisjoint(self._file.records(db, other, digest))
            ]
            content: dict[str, object] = {
                "kind": "data-set",
                "dataset": manifest.hash,
                "size": len(manifest.records),
                "records": self._file.keep_records(db, manifest.hash, keyed),
                "overlaps": overlaps,
            }
            self.append(db, books, [content])
        self.advance()
        return manifest.hash

    def reserve(self, use: Use, budget: Budget) -> Reservation | Refusal:
        """Count a use as spent and return the reservation, or return why it does not fit.

        The reservation is durable on return. Call this before every attempt: a repeated attempt
        draws new noise and is a second use.
        """
        check_mechanism(use.mechanism, trains=use.purpose in TRAINING)
        # Check and entry under one lock: two processes must not both take the last of the budget.
        with self.writing() as (db, books):
            refusal = _excess(books, use.dataset, [use.mechanism], budget) or _too_often(
                books, use, budget
            )
            if refusal is not None:
                return refusal
            self.append(db, books, [reserve_row(use)])
        self.advance()
        return Reservation(len(books.rows) + 1, use)

    def settle(self, reservation: Reservation, steps: int | None = None) -> None:
        """Note that a use has ended after ``steps`` steps (default: as many as were reserved).

        Fewer steps give nothing back; steps beyond the reservation are added. A second call
        changes nothing.
        """
        done = reservation.use.mechanism.steps if steps is None else steps
        with self.writing() as (db, books):
            if reservation.number not in books.unsettled:
                return
            content: dict[str, object] = {"kind": "settle", "of": reservation.number, "steps": done}
            self.append(db, books, [content])
        self.advance()

    def retire(
        self,
        datasets: Sequence[str],
        reason: str,
        through: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Count data sets, and all that share a record with them, as fully spent for ever.

        ``through`` maps a federation to the last term of which uses may be missing.
        """
        with self.writing() as (db, books):
            self.append(db, books, [retire_row(datasets, reason, through)])
        self.advance()

    # ---- within ------------------------------------------------------------------------------

    def append(
        self, db: sqlite3.Connection, books: Books, contents: Iterable[Mapping[str, object]]
    ) -> None:
        """Append rows after those of ``books``; call it once for each :meth:`writing`."""
        parent = books.rows[-1].hash if books.rows else books.first_parent
        for number, content in enumerate(contents, start=len(books.rows) + 1):
            row = chained(number, parent, {"time": self._clock(), **content})
            self._file.append(db, row)
            parent = row.hash

    def add_keys(self, keys: Iterable[str]) -> None:
        """Keep the keys of a ledger that is being adopted; call it within :meth:`writing`."""
        anchor = read_anchor(self._anchor)
        assert anchor is not None
        older = tuple(dict.fromkeys((*anchor.older_keys, *keys)))
        write_anchor(self._anchor, anchor.model_copy(update={"older_keys": older}))

    @contextmanager
    def writing(self) -> Iterator[tuple[sqlite3.Connection, Books]]:
        """Give connection and content while nobody else writes."""
        witness, anchor = self._witnessed(), self._anchored()
        if anchor is None:
            raise _unknown("an empty ledger", "one that knows the data set")
        with self._file.locked() as db:
            books = self._file.books(db, anchor.first_parent)
            self._check_reaches(books, anchor)
            self._check_witness(books, witness)
            yield db, books

    def _witnessed(self) -> Anchor | None:
        """Return what this site last saw of the ledger, or None if it has seen no row yet."""
        witness = read_anchor(self._witness) if self._witness is not None else None
        return witness if witness is not None and witness.rows else None

    def _check_witness(self, books: Books, witness: Anchor | None) -> None:
        # After an adoption it may still be the anchor of the ledger that was adopted.
        if witness is not None and witness.head not in books.adopted.get(
            witness.first_parent, frozenset()
        ):
            raise self._fell_behind(books, witness)

    def _anchored(self) -> Anchor | None:
        """Return the anchor, or None for a site that has never had a ledger."""
        anchor = read_anchor(self._anchor)
        # With no rows anchored nothing can be lost: a crash may have come between anchor and file.
        if anchor is not None and anchor.rows == 0:
            self._file.make()
        if anchor is not None and not self._file.exists():
            raise PrivacyError(
                f"no file {self._file.path}, although some of the privacy was spent",
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
        """Raise :class:`PrivacyError` unless the anchored row is in the ledger."""
        hashes = [books.first_parent, *(row.hash for row in books.rows)]
        if anchor.rows >= len(hashes) or hashes[anchor.rows] != anchor.head:
            raise self._fell_behind(books, anchor)
        # An older anchor put back alone lacks the keys of ledgers that were adopted since: images
        # that only they know would count as new.
        if not books.adopted.keys() <= {*map(first_parent, (anchor.key, *anchor.older_keys))}:
            raise self._fell_behind(books, anchor)

    def _fell_behind(self, books: Books, anchor: Anchor) -> PrivacyError:
        return PrivacyError(
            f"{self._file.path} with {len(books.rows)} rows, where row {anchor.rows} was"
            " written before: an older copy, or another ledger",
            "the newest ledger",
            RETIRE,
            PrivacyError.LEDGER_ROLLED_BACK,
        )

    def begin(self) -> None:
        """Begin the ledger of a new owner; a site that has seen another ledger is refused."""
        if self._anchored() is not None:
            return
        self._check_witness(Books((), ""), self._witnessed())
        # The anchor comes first: an anchor without rows is harmless after a crash, but a ledger
        # without an anchor is refused.
        key = secrets.token_hex(32)
        first = Anchor(key=key, rows=0, head=first_parent(key))
        begin_anchor(self._anchor, first)
        self._file.make()

    def advance(self) -> None:
        """Note the last row in the anchor, and in the site's witness of it."""
        # After the commit, so the anchor is never ahead of a durable row; under the lock, so that
        # a slower process cannot set it back.
        with self.writing() as (_, books):
            anchor = read_anchor(self._anchor)
            assert anchor is not None
            changes = {"rows": len(books.rows), "head": books.rows[-1].hash}
            newest = anchor.model_copy(update=changes)
            write_anchor(self._anchor, newest)
            if self._witness is not None:
                write_anchor(self._witness, newest)


def spent_in(books: Books, dataset: str, delta: float, account: Account = epsilon) -> float:
    """Return the ε at ``delta`` that a data set has spent; ∞ if it is retired."""
    return math.inf if books.retired(dataset) else account(books.history(dataset), delta)


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
