"""``srflm privacy show``: print the ε that a site's records have spent, and what ε leaves out."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.cli.parts.site_options import HERE

if TYPE_CHECKING:
    from clients.privacy.ledger.rows import Books


def show(
    site: Annotated[Path, typer.Argument(help="a site's folder", show_default=".")] = HERE,
    delta: Annotated[float | None, typer.Option(help="instead of the agreed δ")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Verify the owner's privacy ledger and show, for each data set, the ε spent in each role.

    Example: srflm privacy show site
    """
    from deploy.site.privacy_files import site_ledger
    from deploy.site.settings import load_site
    from srflm_flower.privacy.statement import NOT_COVERED

    settings = load_site(site.resolve())
    federation = settings.load_federation()
    agreed = min(federation.privacy.delta, settings.privacy.delta or 1.0)  # δ never exceeds 1
    at = agreed if delta is None else delta
    ledger = site_ledger(settings)
    books = ledger.books()
    if as_json:
        typer.echo(json.dumps(_as_data(books, settings.vendor, at), indent=2))
        return
    console = Console(highlight=False)
    if not books.rows:
        console.print(
            f"{settings.vendor}: nothing was spent; no {ledger.path} yet.", soft_wrap=True
        )
        return
    console.print(f"Ledger: {ledger.path}", soft_wrap=True)
    console.print(_table(books, settings.vendor, at))
    for line in _remarks(books):
        console.print(line)
    console.print("ε is for one record added to a data set or removed, by PLD accounting;")
    console.print("for one patient, where the uses are by patient.")
    console.print(f"Not covered: {NOT_COVERED}.", soft_wrap=True)


def _table(books: Books, vendor: str, delta: float) -> Table:
    from clients.privacy.ledger.ledger import spent_in

    table = Table(title=f"{vendor}: spent at δ = {delta:g}; {len(books.rows)} rows, all verified")
    # "ε in all" composes all uses, and is usually less than the sum of the column "ε alone".
    for heading in ("data set", "records", "what for", "uses", "steps", "ε alone", "ε in all"):
        right = heading not in ("data set", "what for")
        table.add_column(heading, justify="right" if right else "left")
    for dataset, size in books.sizes.items():
        total = _number(spent_in(books, dataset, delta))
        purposes = _purposes(books, dataset, delta)
        if not purposes:
            table.add_row(dataset[:12], str(size), "", "0", "0", "", total)
        for n, each in enumerate(purposes):
            table.add_row(
                dataset[:12] if n == 0 else "",
                str(size) if n == 0 else "",
                each.purpose if each.unit == "record" else f"{each.purpose}, by {each.unit}",
                str(each.uses),
                str(each.steps),
                _number(each.epsilon),
                total if n == 0 else "",
            )
    return table


@dataclass(frozen=True)
class _Purpose:
    """All uses of a data set for one purpose; ``epsilon`` is theirs alone."""

    purpose: str
    unit: str
    uses: int
    steps: int
    epsilon: float


def _purposes(books: Books, dataset: str, delta: float) -> list[_Purpose]:
    from clients.privacy.accounting.accounting import epsilon

    uses, found = books.uses(dataset), []
    for (purpose, unit), count in Counter((use.purpose, use.unit) for use in uses).items():
        mechanisms = [u.mechanism for u in uses if (u.purpose, u.unit) == (purpose, unit)]
        steps = sum(mechanism.steps for mechanism in mechanisms)
        found.append(_Purpose(purpose, unit, count, steps, epsilon(mechanisms, delta)))
    return found


def _as_data(books: Books, vendor: str, delta: float) -> dict[str, object]:
    """Return what the table and the remarks say; an infinite ε is null, as JSON has none."""
    from clients.privacy.ledger.ledger import spent_in

    def finite(value: float) -> float | None:
        return None if math.isinf(value) else value

    datasets = {
        name: {
            "records": size,
            "epsilon": finite(spent_in(books, name, delta)),
            "uses": [
                {**asdict(each), "epsilon": finite(each.epsilon)}
                for each in _purposes(books, name, delta)
            ],
        }
        for name, size in books.sizes.items()
    }
    return {
        "vendor": vendor,
        "delta": delta,
        "rows": len(books.rows),
        "data-sets": datasets,
        "remarks": _remarks(books),
    }


def _remarks(books: Books) -> list[str]:
    remarks = []
    federations = {use.federation for name in books.sizes for use in books.uses(name)}
    if len(federations) > 1:
        remarks.append(f"Uses of {len(federations)} federations and editions, all in one budget.")
    shared = {group for name in books.sizes if len(group := books.group(name)) > 1}
    remarks += [
        "One budget, as they share records: " + ", ".join(sorted(name[:12] for name in group))
        for group in shared
    ]
    if books.unsettled:
        remarks.append(
            f"{len(books.unsettled)} uses were begun and not ended: under way, or broken off."
            " They count as spent."
        )
    if books.clock_went_back:
        remarks.append(
            f"The clock went back {books.clock_went_back} times; rows keep the order in which they"
            " were written, and nothing depends on the time."
        )
    retired = sorted(name[:12] for name in books.sizes if books.retired(name))
    if retired:
        remarks.append(f"Given up, as their past is not known: {', '.join(retired)}.")
    return remarks


def _number(epsilon: float) -> str:
    return "∞" if math.isinf(epsilon) else f"{epsilon:.3f}"
