"""The ledger: the hash-chained list of committed term records, one JSON line each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from clients.files.durable import append_durably, write_durably
from clients.files.lines import complete_lines, size_of
from strategies.errors import LedgerError
from strategies.protocol.chain import check_follows
from strategies.protocol.records import TermRecord, canonical_json


class Ledger:
    """A ledger in a file: appended to durably, every link checked as it is read.

    Each access reads only the lines that were appended since the last one.  With ``keep`` only that
    many of the latest records stay in memory.  A last line that a crash cut short is not read, and
    the next :meth:`append` removes it.
    """

    def __init__(self, path: Path, federation: str, keep: int | None = None) -> None:
        self._path, self._federation = path, federation
        self._recent: deque[TermRecord] = deque(maxlen=keep)
        self._hashes: list[str] = []
        self._end = 0

    def __len__(self) -> int:
        self._read_on()
        return len(self._hashes)

    def records(self) -> Sequence[TermRecord]:
        """Return the records, oldest first: all of them, or the latest ``keep``."""
        self._read_on()
        return tuple(self._recent)

    def last(self) -> TermRecord | None:
        """Return the latest record."""
        self._read_on()
        return self._recent[-1] if self._recent else None

    def append(self, record: TermRecord) -> None:
        """Append the next record durably; do nothing if the ledger has it already.

        Raises :class:`LedgerError` for a record that does not follow the latest one, and
        :class:`strategies.errors.RunFolderError` when the file cannot be written.
        """
        self._read_on()
        if record.term <= len(self._hashes) and self._hashes[record.term - 1] == record.hash:
            return
        check_follows(self.last(), record, self._federation)
        self._cut_off_rest()
        append_durably(self._path, canonical_json(record.model_dump(mode="json")))
        self._read_on()

    def _cut_off_rest(self) -> None:
        """Remove a last line that a crash cut short."""
        # Such a line was never acknowledged, so nobody relies on it.
        if self._path.exists() and self._path.stat().st_size > self._end:
            with self._path.open("rb") as file:
                write_durably(self._path, file.read(self._end))

    def _read_on(self) -> None:
        """Read the complete lines that were appended since the last call."""
        size = size_of(self._path)
        if size == self._end:
            return
        if size < self._end:  # the file was replaced: read it from the start
            self._recent.clear()
            self._hashes.clear()
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
                "restore the ledger from another site, or install the version that wrote it",
            ) from error
        check_follows(self._recent[-1] if self._recent else None, record, self._federation)
        self._recent.append(record)
        self._hashes.append(record.hash)
        self._end += len(line)
