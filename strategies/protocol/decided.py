"""Check that records which arrive were decided: each by the edition that was in force.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from strategies.protocol.records import Committed
from strategies.protocol.recovery import check_recovery, not_recovered
from strategies.protocol.roster_change import Editions, check_decided
from strategies.protocol.signatures import Keys


def check_all_decided(
    records: Iterable[Committed], editions: Editions, recovered: Collection[str], keys: Keys
) -> None:
    """Check the certificates of ``records``, oldest first, and the recoveries in them.

    ``editions`` are those that the site knows, and ``recovered`` the hashes of the records from
    which its federation file goes on.  Raises :class:`strategies.errors.MessageRefused`.
    """
    for committed in records:
        record = committed.record
        if record.recovery is not None:
            # Some members alone must not take the others along: the operator decides.
            before = editions.find(record.recovery.previous)
            if record.recovery.head not in recovered or before is None:
                raise not_recovered(record, "in its federation file")
            check_recovery(record.recovery, before, keys)
        editions = editions.recovered_by(record)
        check_decided(committed, editions.at(record.term), keys)
        editions = editions.after(record)  # the next record may be under another one
