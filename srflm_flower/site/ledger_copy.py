"""A copy of a ledger with what may be restored: all that others have certified, and no vote.

A copy is an older ledger by the time it is used.  So it says of itself that its site has forgotten
its votes, and that it was put back.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass

from srflm_flower.site.lapses import ALL_TERMS, FORGETFUL, PUT_BACK, RECOVERING
from srflm_flower.site.ledger_file import BOOTS, SCHEMA, LedgerFile, set_fact_in
from srflm_flower.site.recovering import LEFT_BEHIND, SIGNED

KEPT = ("records", "changes", "recoveries", "orders", "heard", "contradictions", "evidence")
"""Tables whose rows others have signed, or that only make the site more careful.

Votes and proposals of the open term are none of them; of the facts about the site only some are.
"""

_OWN_FACTS = ("schema-version", "federation")
# Promises of silence: a site that forgot them could sign a second recovery beside the first one.
_PROMISES = (RECOVERING, LEFT_BEHIND)


@dataclass(frozen=True)
class LedgerCopy:
    """The SQLite file of a copy.

    ``term`` and ``head`` are the last record's term and hash (0 and "" for none), ``models`` the
    hashes of all models that its records name.
    """

    data: bytes
    term: int
    head: str
    models: frozenset[str]


def copy_ledger(ledger: LedgerFile) -> LedgerCopy:
    """Copy a ledger as it is at one moment; its site may be up and write to it.

    Raises the errors of :meth:`LedgerFile.reading`.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        copy.executescript(SCHEMA)
        with ledger.reading() as db:
            # All reads see one state.  Rows are copied, not pages: deleted votes stay in pages.
            db.execute("BEGIN")
            try:
                for table in KEPT:
                    rows = db.execute(f"SELECT * FROM {table}")
                    marks = ", ".join("?" for _ in rows.description)
                    copy.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
                facts = db.execute("SELECT key, value FROM meta").fetchall()
            finally:
                db.execute("ROLLBACK")
        for key, value in facts:
            if key in (*_OWN_FACTS, *_PROMISES) or key.startswith(SIGNED):
                set_fact_in(copy, key, value)
        set_fact_in(copy, FORGETFUL, ALL_TERMS)
        set_fact_in(copy, PUT_BACK, "yes")
        set_fact_in(copy, BOOTS, "0")  # without it the ledger could be given to another federation
        query = "SELECT term, hash FROM records ORDER BY term DESC LIMIT 1"
        term, head = copy.execute(query).fetchone() or (0, "")
        named = copy.execute(
            "SELECT json_extract(record, '$.model') FROM records"
            " UNION SELECT json_extract(record, '$.averaged_model') FROM records"
        )
        models = frozenset(str(row[0]) for row in named)
        return LedgerCopy(copy.serialize(), int(term), str(head), models)
