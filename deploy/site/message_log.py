"""``audit.jsonl``: every message that a site accepted or refused, hash-chained, never rewritten.

Its length and the hash of its last line are anchored in the site's ledger, as a chain alone does
not show that its end is gone, or that all of it was written anew.  The site signs the anchor with
each acceptance, so that its peers hold it, too.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from clients.files.durable import append_durably
from clients.files.lines import complete_lines, size_of
from clients.files.locks import locked
from srflm_flower.site.ledger import TermLedger
from strategies.errors import LedgerError
from strategies.protocol.records import LogAnchor, canonical_json

GENESIS = "0" * 64
TAIL_BYTES = 8192


class MessageLog:
    """An append-only list of events in a file; each line names the hash of the one before it.

    ``ledger`` holds the anchor.  Methods raise :class:`LedgerError` for a ledger that is damaged.
    """

    def __init__(self, path: Path, ledger: TermLedger) -> None:
        self._path, self._ledger = path, ledger

    def note(self, **event: object) -> None:
        """Append one event with the time of day; several processes may do so at once.

        Raises :class:`strategies.errors.RunFolderError` when file or ledger cannot be written.
        """
        with self._alone():
            before = self._last_line()
            anchor = self._caught_up(before)
            entry = {"time": round(time.time(), 3), **event, "after": _hash(before)}
            line = canonical_json(entry)
            # The log first: an anchor without its line would look like a log that was cut.
            append_durably(self._path, line)
            if anchor is not None:
                self._ledger.keep_log(LogAnchor(lines=anchor.lines + 1, head=_hash(line)))

    def check(self) -> int:
        """Return the number of events.

        A last line that a crash cut short is not counted: its event was never acknowledged. Raises
        :class:`LedgerError` if the chain is broken, or if the log is not the one whose length and
        last line the ledger holds.
        """
        with self._alone():  # else a line that is being noted would look like one too many
            hashes = _checked(self._path)
            anchor = self._ledger.log()
        if anchor is None:  # of an older version, or the ledger was made anew
            return len(hashes) - 1
        # A crash may have come between a line and its anchor, so there may be one line more.
        more = len(hashes) - 1 - anchor.lines
        if more not in (0, 1) or hashes[anchor.lines] != anchor.head:
            raise LedgerError(
                f"{self._path} was cut, deleted, or written anew: its {len(hashes) - 1} lines do"
                f" not end as the ledger has noted it, with line {anchor.lines}"
                f" ({anchor.head[:12]}…)",
                "a message log to which only the site itself has appended",
                "keep the file as it is and find out who changed it; the terms in the ledger do"
                " not depend on it",
            )
        return len(hashes) - 1

    def holds(self, anchors: Iterable[LogAnchor]) -> list[bool]:
        """Return for each of ``anchors`` whether this log was once as it says.

        Raises :class:`LedgerError` if the chain is broken.
        """
        with self._alone():
            hashes = _checked(self._path)
        return [each.lines < len(hashes) and hashes[each.lines] == each.head for each in anchors]

    def _caught_up(self, last: bytes) -> LogAnchor | None:
        """Return the anchor of the log as it ends with the line ``last``; None if none fits it."""
        anchor = self._ledger.log()
        if anchor is None:
            count = sum(1 for _ in complete_lines(self._path))
            anchor = LogAnchor(lines=count, head=_hash(last))
        elif anchor.head != _hash(last):
            if _after(last) != anchor.head:
                # Somebody changed the log.  The anchor stays where it is for ever, so that no later
                # line hides the change; the site goes on.
                return None
            # A crash came between this line and its anchor.  Kept before the next line is written,
            # so that two crashes in a row do not look like a change.
            anchor = LogAnchor(lines=anchor.lines + 1, head=_hash(last))
            self._ledger.keep_log(anchor)
        return anchor

    def _alone(self) -> AbstractContextManager[None]:
        return locked(self._path.with_suffix(".lock"), wait=True)

    def _last_line(self) -> bytes:
        """Return the last complete line."""
        size, reach = size_of(self._path), TAIL_BYTES
        while True:
            start = max(0, size - reach)
            lines = list(complete_lines(self._path, start))
            if start == 0 or len(lines) > 1:  # else the only line may be the end of a longer one
                break
            reach *= 2
        return lines[-1].rstrip(b"\n") if lines else b""


def _checked(path: Path) -> list[str]:
    """Return the hash before the first line, and the one after each; check that they are linked."""
    hashes = [GENESIS]
    for whole in complete_lines(path):
        line = whole.rstrip(b"\n")
        if _after(line) != hashes[-1]:
            raise LedgerError(
                f"{path} is broken at line {len(hashes)}",
                "lines each of which names the hash of the one before it",
                "find out who changed the file; a copy from before is intact up to its own end",
            )
        hashes.append(_hash(line))
    return hashes


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest() if line else GENESIS


def _after(line: bytes) -> object:
    """Return the hash that a line names; None if it is no line of a log."""
    try:
        return json.loads(line)["after"]
    except (ValueError, KeyError, TypeError):
        return None
