"""The ledger in pages, the newest term first.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.page.history import KINDS, Term
from deploy.page.snapshot import Snapshot
from srflm_flower.report.table import Code, Column, Table
from srflm_flower.report.wording import NOTHING, duration, megabytes, number
from strategies.protocol.records import Absence

PAGE = 20
MOST_NAMES = 6


@dataclass(frozen=True)
class LedgerPage:
    """One page of ``pages``, counted from 1; ``verdict`` is on the whole ledger."""

    table: Table
    number: int
    pages: int
    terms: int
    valid: bool
    verdict: str
    last_hash: str


def ledger_page(seen: Snapshot, wanted: int, metric_title: str) -> LedgerPage:
    """Return the page ``wanted``, or the nearest that there is."""
    pages = max(1, -(-len(seen.terms) // PAGE))
    page = min(max(1, wanted), pages)
    end = len(seen.terms) - PAGE * (page - 1)
    rows = [_row(term) for term in reversed(seen.terms[max(0, end - PAGE) : end])]
    columns = [
        Column("Term", numeric=True),
        Column("Round", numeric=True),
        Column("Server"),
        Column("Clients"),
        *(Column(f"{metric_title}, {kind}", numeric=True) for kind in ("averaged", "fine-tuned")),
        Column("Time"),
        Column("MB sent", numeric=True),
        Column("Absences", wide=True),
        Column("Signatures"),
        Column("Record"),
    ]
    table = Table(f"Terms, the newest first (page {page} of {pages})", columns, rows)
    return LedgerPage(
        table,
        page,
        pages,
        len(seen.terms),
        seen.invalid is None,
        verdict(seen),
        seen.terms[-1].hash if seen.terms else "",
    )


def verdict(seen: Snapshot) -> str:
    """Return what the check of links and signatures has found so far, in a sentence."""
    if seen.unread is not None:
        return "The ledger cannot be read at the moment."
    if seen.invalid is not None:
        return (
            f"The record of term {seen.invalid} is not valid: keep the ledger as it is, and run"
            " `srflm verify` here and at another site."
        )
    if not seen.terms:
        return "No term is committed yet."
    if seen.terms_known > len(seen.terms):
        return f"{len(seen.terms)} of {seen.terms_known} records are checked so far: all valid."
    return f"All {len(seen.terms)} records: links valid, and signed by a quorum."


def _row(term: Term) -> list[str | Code]:
    served = f"{term.server} (attempt {term.attempt})" if term.attempt else term.server
    return [
        str(term.term),
        str(term.round),
        served,
        _names(term.clients),
        *(number(_mean(term, kind)) for kind in KINDS[:2]),
        duration(sum(term.seconds.values())) if term.seconds else NOTHING,
        megabytes(term.sent),
        _absences(term.absences),
        f"not valid: {term.problem}" if term.problem else f"{len(term.signers)}, valid",
        Code(term.hash[:12]),
    ]


def _mean(term: Term, kind: str) -> float | None:
    found = [each[kind] for each in term.values.values() if kind in each]
    return sum(found) / len(found) if found else None


def _names(names: Sequence[str]) -> str:
    return f"{len(names)} vendors" if len(names) > MOST_NAMES else ", ".join(names) or "none"


def _absences(absences: Sequence[Absence]) -> str:
    parts = Counter(
        f"{each.vendor} ({each.phase}, {each.code}"
        f"{f', attempt {each.attempt}' if each.attempt else ''})"
        for each in absences
    )
    return "; ".join(parts) or "none"
