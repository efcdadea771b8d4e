"""``srflm run`` and ``srflm stop``: order the federation to run, or to end after its open term."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy.cli.parts.site_options import HERE, SiteFolder
from deploy.processes.private import private_files

if TYPE_CHECKING:
    from strategies.protocol.records import TermRecord


@private_files()
def run(
    folder: SiteFolder = HERE,
    rounds: Annotated[
        int | None, typer.Option(help="rounds to run from here on (default: run.rounds)", min=1)
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="return once a quorum follows the order")
    ] = False,
) -> None:
    """Order the federation to run; any one site may, and a quorum must follow.

    Ctrl-C stops watching, not the run. Exit code 1 means fewer rounds than ordered.

    Example: srflm run site --rounds 20 --detach
    """
    from deploy.operating.run_orders import (
        about_replaced,
        follow,
        order_rounds,
        require_no_cut,
    )
    from deploy.operating.status import site_status
    from deploy.site.site_on_disk import site_on_disk
    from srflm_flower.results.summary import term_line

    site = site_on_disk(folder.resolve())
    console = Console(highlight=False, soft_wrap=True)
    # An order names the last round, not a number of rounds: spreading it again adds nothing.
    # A quick term may be committed before the order's answer is here: it is shown all the same.
    done, seen = site.state.ledger.rounds(), len(site.state.ledger)
    before = site.state.ledger.open_order()
    last = done + (rounds or site.federation.run.rounds)
    require_no_cut(before, site.vendor, last)
    order = order_rounds(site, last)
    console.print(f"A quorum follows order {order.number}: until round {order.rounds}.")
    console.print(about_replaced(before, order, done), end="")
    if detach:
        return

    def show(record: TermRecord) -> None:
        console.print(escape(term_line(record, site.federation.task.metric)))

    # The order in force at the end may be a newer one, from another site.
    fulfilled = follow(site, order, seen, show)
    console.print(escape(site_status(site).what_happened))
    if fulfilled.rounds < order.rounds:
        console.print(f"Order {fulfilled.number} of {fulfilled.vendor} ended the run early.")
        raise typer.Exit(1)


@private_files()
def stop(folder: SiteFolder = HERE) -> None:
    """End the run after the term that is open; a later `srflm run` goes on from the ledger.

    Example: srflm stop site
    """
    from deploy.operating.run_orders import order_rounds
    from deploy.site.site_on_disk import site_on_disk

    site = site_on_disk(folder.resolve())
    ledger = site.state.ledger
    head = ledger.last()
    term, rounds = (head.term + 1, head.round) if head is not None else (1, 0)
    # An open term is finished: its clients may have trained already, and have spent budget on it.
    if ledger.votes(term).granted >= 0:
        rounds += site.federation.rounds_per_term
    order_rounds(site, rounds)
    Console(highlight=False).print(f"The run ends with round {rounds}.")
