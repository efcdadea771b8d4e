"""The ledger: the hash-chained list of committed term records, one JSON line each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from srflm_flower.durable import append_durably, write_durably
from srflm_flower.errors import LedgerError
from srflm_flower.records import TermRecord, canonical_json


def check_follows(records: Sequence[TermRecord], record: TermRecord, federation: str) -> None:
    """Check that ``record`` is the next link after ``records`` in this federation's chain.

    Raises :class:`LedgerError`.
    """
    parent = records[-1].hash if records else federation
    first_round = records[-1].round + 1 if records else 1
    if record.federation != federation:
        raise _broken("a record of another federation", record)
    if record.term != len(records) + 1 or record.parent != parent:
        raise _broken("a record that does not follow the one before it", record)
    if record.round < first_round:
        raise _broken("a record that counts rounds backwards", record)


def check_chain(records: Sequence[TermRecord], federation: str) -> None:
    """Check every link of a ledger; raises :class:`LedgerError`."""
    for position, record in enumerate(records):
        check_follows(records[:position], record, federation)


def _broken(found: str, record: TermRecord) -> LedgerError:
    return LedgerError(
        f"{found} (term {record.term})",
        "an unbroken chain of this federation's term records",
        "restore the ledger from another site; do not edit it",
    )


class Ledger:
    """A ledger in a file: appended to durably, read whole, every link checked.

    A last line that a crash cut short was never acknowledged; it is dropped.
    """

    def __init__(self, path: Path, federation: str) -> None:
        self._path, self._federation = path, federation
        self._size = -1
        self._records: list[TermRecord] = []

    def records(self) -> Sequence[TermRecord]:
        """Return all records, oldest first; reads the file again if it has changed."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if size != self._size:
            self._records = self._read()
            self._size = self._path.stat().st_size if self._path.exists() else 0
        return tuple(self._records)

    def append(self, record: TermRecord) -> None:
        """Append the next record durably; one that is there already is left as it is.

        Raises :class:`LedgerError` when it does not follow, :class:`RunFolderError` when it
        cannot be written.
        """
        records = self.records()
        if record.term <= len(records) and records[record.term - 1].hash == record.hash:
            return
        check_follows(records, record, self._federation)
        append_durably(self._path, canonical_json(record.model_dump(mode="json")))
        self._records.append(record)
        self._size = self._path.stat().st_size

    def _read(self) -> list[TermRecord]:
        if not self._path.exists():
            return []
        data = self._path.read_bytes()
        if data and not data.endswith(b"\n"):
            data = data[: data.rfind(b"\n") + 1]
            write_durably(self._path, data)
        try:
            records = [TermRecord.model_validate_json(line) for line in data.splitlines()]
        except ValidationError as error:
            raise LedgerError(
                f"{self._path} has a line that is no term record of schema version 1",
                "a ledger written by this version of srflm-flower",
                "restore the ledger from another site, or install the version that wrote it",
            ) from error
        check_chain(records, self._federation)
        return records
