"""A site's part in a recovery: its signature, which silences it, and the new edition."""

from __future__ import annotations

import sqlite3

from srflm_flower.site.edition_standing import APPROVAL
from srflm_flower.site.lapses import FORGETFUL, RECOVERING
from srflm_flower.site.ledger import TermLedger, keep_recovery_in, recovery_in
from srflm_flower.site.ledger_file import fact_in, set_fact_in
from strategies.errors import LedgerError
from strategies.protocol.records import Recovery
from strategies.protocol.recovery import can_both_hold

SIGNED = "recovery-signed:"
LEFT_BEHIND = "left-behind"
"""The recovery by which the others have gone on without this vendor."""


def promise(ledger: TermLedger, recovery: Recovery) -> None:
    """Note that the site signs ``recovery``: it votes no more in the term after the named head.

    Raises :class:`LedgerError` unless its head is that of the ledger, or when the site has signed
    another recovery that could then hold beside this one.
    """
    with ledger.deciding() as db:
        _require_head(ledger, db, recovery)
        for earlier in _signed(db, recovery.term):
            if can_both_hold(earlier, recovery):
                raise LedgerError(
                    "a second recovery, beside one for"
                    f" {', '.join(earlier.edition.roster)} that this site has signed",
                    "one that leaves no quorum of those out",
                    "go on with the first one, or keep more of its members",
                )
        plain = recovery.model_copy(update={"signatures": {}})
        signed = _signed(db, recovery.term)
        if plain not in signed[-1:]:
            key = f"{SIGNED}{recovery.term}:{len(signed):06}"
            set_fact_in(db, key, plain.model_dump_json())
        set_fact_in(db, RECOVERING, str(recovery.term + 1))


def apply_recovery(ledger: TermLedger, recovery: Recovery) -> None:
    """Let a recovery hold here; its signatures are checked already.

    Raises :class:`LedgerError` unless its head is that of the ledger, and it is the one that this
    site has signed last.
    """
    with ledger.deciding() as db:
        _require_head(ledger, db, recovery)
        plain = recovery.model_copy(update={"signatures": {}})
        if [plain] != _signed(db, recovery.term)[-1:]:
            raise LedgerError(
                "a recovery that is not the one that this site has signed last",
                "that one",
                "ask the other operators for the newest file",
            )
        keep_recovery_in(db, recovery)
        # Votes of the old edition bind nobody in the new one, so none of them can be missing.
        db.execute("DELETE FROM votes")
        db.execute("DELETE FROM proposals")
        for key in (FORGETFUL, RECOVERING, APPROVAL):
            set_fact_in(db, key, None)


def _signed(db: sqlite3.Connection, term: int) -> list[Recovery]:
    """Return the recoveries from the record of ``term`` that the site has signed, in order."""
    rows = db.execute(
        "SELECT value FROM meta WHERE key LIKE ? ORDER BY key", (f"{SIGNED}{term}:%",)
    ).fetchall()
    return [Recovery.model_validate_json(row[0]) for row in rows]


def recovering_from(ledger: TermLedger) -> int | None:
    """Return the term after which the site has signed a recovery that does not hold here yet."""
    with ledger.reading() as db:
        term = fact_in(db, RECOVERING)
    return int(term) - 1 if term is not None and int(term) > len(ledger) else None


def note_left_behind(ledger: TermLedger, recovery: Recovery) -> None:
    """Note that the others have gone on without this vendor: it votes no more in the open term."""
    with ledger.deciding() as db:
        set_fact_in(db, LEFT_BEHIND, recovery.model_dump_json())
        set_fact_in(db, RECOVERING, str(len(ledger) + 1))


def left_behind(ledger: TermLedger) -> Recovery | None:
    """Return the recovery by which the others have gone on without this vendor, if it is known."""
    text = ledger.fact(LEFT_BEHIND)
    return Recovery.model_validate_json(text) if text else None


def _require_head(ledger: TermLedger, db: sqlite3.Connection, recovery: Recovery) -> None:
    head = ledger.head_in(db)
    found = (head.term, head.hash) if head is not None else (0, "")
    if found != (recovery.term, recovery.head):
        raise LedgerError(
            f"a recovery from {recovery.term}:{recovery.head}",
            f"from this site's head, {found[0]}:{found[1]}",
            "let this site catch up, or name the newest head that any remaining site has: a later"
            " record would be lost",
        )
    if recovery_in(db, recovery.term) is not None:
        raise LedgerError(
            f"a second recovery from term {recovery.term}",
            "a recovery that does not hold here yet",
            "`srflm up`: the site goes on by the first one",
        )
