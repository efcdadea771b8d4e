"""Check that term records form an unbroken chain, in which every record follows its parent."""

from __future__ import annotations

from collections.abc import Sequence

from strategies.errors import LedgerError
from strategies.protocol.records import TermRecord


def check_follows(last: TermRecord | None, record: TermRecord, federation: str) -> None:
    """Check that ``record`` is the next link after ``last`` in this federation's chain.

    ``federation`` is the hash of the first edition of the federation file, which is also the parent
    of the first record; a record with a roster change leads to the next edition.  Raises
    :class:`LedgerError`.
    """
    # A roster change in the last record decides which edition this record must name.
    deciding, recovery = last.next_federation if last is not None else federation, record.recovery
    if recovery is not None:
        head = (last.term, last.hash, deciding) if last is not None else None
        if (recovery.term, recovery.head, recovery.previous) != head:
            raise _broken("a record recovered from another head", record)
        deciding = recovery.edition.federation
    if record.federation != deciding:
        raise _broken("a record of another federation", record)
    parent, term, round_number = (
        (last.hash, last.term + 1, last.round + 1) if last is not None else (federation, 1, 1)
    )
    if record.term != term or record.parent != parent:
        raise _broken("a record that does not follow the one before it", record)
    # A term may have several rounds (TermPlan.rounds_per_term): only a lower bound is known here.
    if record.round < round_number:
        raise _broken("a record that counts rounds backwards", record)


def check_chain(records: Sequence[TermRecord], federation: str) -> None:
    """Check every link of a ledger; raises :class:`LedgerError`."""
    last = None
    for record in records:
        check_follows(last, record, federation)
        last = record


def _broken(found: str, record: TermRecord) -> LedgerError:
    return LedgerError(
        f"{found} (term {record.term})",
        "an unbroken chain of this federation's term records",
        "if the federation file was changed, put it back; otherwise start a new run; at a"
        " site, keep the ledger as it is and compare all sites with `srflm verify`",
    )
