"""The report's table on privacy: each vendor's spent ε and the roles that it can still afford."""

from __future__ import annotations

from collections.abc import Sequence

from srflm_flower.federation.federation import Federation
from srflm_flower.privacy.statement import last_privacy
from srflm_flower.report.table import Column, Table
from srflm_flower.report.wording import number
from strategies.protocol.records import TermRecord


def spent_table(federation: Federation, records: Sequence[TermRecord]) -> Table:
    """Return a row for each vendor: ε at its δ, public size, and roles it can still afford."""
    columns = [
        Column("Vendor"),
        *(Column(title, numeric=True) for title in ("ε spent", "δ", "Public size")),
        Column("Can still"),
    ]
    told = last_privacy(records)
    rows = []
    for member in federation.vendors:
        each = told.get(member.name)
        able = (
            [name for name, can in (("serve", each.can_serve), ("train", each.can_train)) if can]
            if each is not None
            else []
        )
        rows.append(
            [
                member.name,
                number(each.epsilon if each is not None else None, 2),
                f"{each.delta:g}" if each is not None else "–",
                str(member.size),
                ", ".join([*able, "evaluate"]) if each is not None else "not told",
            ]
        )
    return Table("Spent so far, by the agreed plan", columns, rows)
