"""The ledger that a run exports for its readers: the committed term records, one JSON line each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from clients.files.durable import append_durably
from clients.files.lines import complete_lines, size_of
from strategies.errors import LedgerError
from strategies.protocol.chain import check_follows
from strategies.protocol.records import TermRecord, canonical_json


class Ledger:
    """A ledger in a file: appended to durably, every link checked as it is read.

    Each access reads only the lines that were appended since the last one.  A last line that a
    crash cut short is not read, and the next :meth:`append` removes it.
    """

    def __init__(self, path: Path, federation: str) -> None:
        self._path, self._federation = path, federation
        self._records: list[TermRecord] = []
        self._end = 0

    def records(self) -> Sequence[TermRecord]:
        """Return the records, oldest first."""
        self._read_on()
        return tuple(self._records)

    def append(self, record: TermRecord) -> None:
        """Append the next record durably; do nothing if the ledger has it already.

        Raises :class:`LedgerError` for a record that does not follow the latest one, and
        :class:`strategies.errors.RunFolderError` when the file cannot be written.
        """
        self._read_on()
        if record in self._records[record.term - 1 : record.term]:
            return
        self._check_follows(record)
        # The record of a line that a crash cut short is in the server's own ledger, so the line is
        # written again.
        append_durably(self._path, canonical_json(record.model_dump(mode="json")))
        self._read_on()

    def catch_up(self, committed: Sequence[TermRecord]) -> None:
        """Append those records of the server's own ledger that are missing here.

        Raises :class:`LedgerError` if the records here are not the first of ``committed``.
        """
        ours = self.records()
        if ours != tuple(committed[: len(ours)]):
            # Lines are written after their records count, so these were not written by this run.
            raise LedgerError(
                f"{self._path} has {len(ours)} term records that are not in the server's own"
                f" ledger, which has {len(committed)}",
                "the records of the server's own ledger, or the first of them",
                "move the file away and resume the run, which then writes it again"
                if committed
                else "resume the run with the version that began it, or start a new run: this"
                " version cannot go on without state/server/ledger.sqlite",
            )
        for record in committed[len(ours) :]:
            self.append(record)

    def _read_on(self) -> None:
        """Read the complete lines that were appended since the last call."""
        size = size_of(self._path)
        if size == self._end:
            return
        if size < self._end:  # the file was replaced: read it from the start
            self._records.clear()
            self._end = 0
        for line in complete_lines(self._path, self._end):
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            record = TermRecord.model_validate_json(line)
        except ValidationError as error:
            raise LedgerError(
                f"{self._path} has a line that is no term record of schema version 1",
                "a ledger written by this version of srflm-flower",
                "move the file away and resume the run, which then writes it again, or install the"
                " version that wrote it",
            ) from error
        self._check_follows(record)
        self._records.append(record)
        self._end += len(line)

    def _check_follows(self, record: TermRecord) -> None:
        check_follows(self._records[-1] if self._records else None, record, self._federation)
