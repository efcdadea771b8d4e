"""The report's section on privacy: what is promised, what was spent, what is not covered."""

from __future__ import annotations

from collections.abc import Sequence

from srflm_flower.federation.federation import Federation
from srflm_flower.privacy.statement import exclusions, last_privacy, promise
from srflm_flower.privacy.update_level import update_level_statement
from srflm_flower.report.markup import Column, Html, element, table
from srflm_flower.report.wording import number
from strategies.protocol.records import TermRecord


def privacy_section(federation: Federation, records: Sequence[TermRecord]) -> Html:
    """Return the section; without differential privacy it says so."""
    heading = element("h2", "Privacy")
    updates = update_level_statement(federation, records)
    more = [element("p", updates)] if updates else []
    if not federation.privacy.private:
        nothing = element("p", element("strong", promise(federation)))
        return element("section", heading, nothing, *more)
    return element(
        "section",
        heading,
        element("p", promise(federation)),
        _spent(federation, records),
        element("p", exclusions(federation), class_="note"),
        *more,
    )


def _spent(federation: Federation, records: Sequence[TermRecord]) -> Html:
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
    return table("Spent so far, as each site's own ledger has it", columns, rows)
