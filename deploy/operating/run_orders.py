"""Order the federation to run: sign, spread from the own site, wait until it is fulfilled."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from deploy.operating.own_job import LOOK_SECONDS, perform, require_up
from deploy.serving.job import ServerJob
from deploy.site.site_on_disk import SiteOnDisk
from strategies.errors import ConfigurationError, FederationStopped
from strategies.protocol.records import RunOrder, TermRecord
from strategies.protocol.signatures import sign_order

SPREAD_SECONDS = 120.0
TRIES = 3
"""A site that has lost its orders learns the next number in its first try."""


def order_rounds(site: SiteOnDisk, rounds: int) -> RunOrder:
    """Order terms until ``rounds`` rounds are committed in all; a quorum must follow.

    Raises :class:`strategies.errors.DeploymentError` when the site is not up,
    :class:`FederationStopped` when no quorum follows the order.
    """
    require_up(site)
    known = site.state.ledger.order()
    number = known.number if known is not None else 0
    for _ in range(TRIES):
        order = RunOrder(
            number=number + 1, federation=site.federation.hash, rounds=rounds, vendor=site.vendor
        )
        order = sign_order(order, site.keys)
        task = ServerJob(name=uuid.uuid4().hex, kind="order", order=order)
        patience = SPREAD_SECONDS + 2 * site.federation.run.answer_deadline
        number = _spread(site, task, patience)
        if not number:
            return order
    raise FederationStopped(
        f"the order was not taken: others have given orders up to {number} meanwhile",
        "one vendor that orders at a time",
        "see `srflm status` at the sites, then order again",
        FederationStopped.OUTNUMBERED,
    )


def _spread(site: SiteOnDisk, task: ServerJob, patience: float) -> int:
    """Let the own SuperLink spread an order; wait for the outcome, at most ``patience`` seconds.

    Returns 0 if a quorum follows the order, else the number that others have used already.
    """
    outcome = perform(site, task, patience)
    if outcome.result in ("ordered", "outnumbered"):
        return outcome.number
    raise FederationStopped(
        f"the order was not taken: {outcome.text}",
        "a quorum of sites that are up and follow this vendor's orders",
        "see `srflm status` at the sites, then order again",
        outcome.code if outcome.code in FederationStopped.codes else None,
    )


def require_no_cut(before: RunOrder | None, vendor: str, rounds: int) -> None:
    """Check that an order of ``vendor`` until round ``rounds`` does not cut another vendor's.

    ``before`` is the order that is open.  Raises :class:`ConfigurationError`.
    """
    if before is None or before.vendor == vendor or before.rounds <= rounds:
        return
    raise ConfigurationError(
        f"an order until round {rounds}, where order {before.number} of {before.vendor} goes on"
        f" until round {before.rounds}",
        "an order that does not end another vendor's run early",
        f"nothing, if {before.rounds} rounds are enough; or order more rounds with --rounds; to end"
        " that run after the open term: `srflm stop`",
    )


def about_replaced(before: RunOrder | None, order: RunOrder, done: int) -> str:
    """Return a line about the order that ``order`` replaces while it was open; "" if none was.

    ``done`` are the rounds that were committed when the new order was given.
    """
    if before is None or before.number >= order.number:
        return ""
    more = order.rounds - before.rounds
    noun = "round" if abs(more) == 1 else "rounds"
    change = f"{abs(more)} {noun} {'more' if more > 0 else 'fewer'}" if more else "the same end"
    return (
        f"It replaces order {before.number} of {before.vendor}, which had {done} of"
        f" {before.rounds} rounds done: {change}. Whoever watches that one goes on to watch this"
        " one.\n"
    )


def follow(
    site: SiteOnDisk, order: RunOrder, seen: int, on_record: Callable[[TermRecord], None]
) -> RunOrder:
    """Hand on the records after term ``seen`` until the order, or a later one, is fulfilled.

    Returns the order that was fulfilled.
    """
    ledger = site.state.ledger
    while True:
        # Before the records: a term that is committed after this look is shown after the next.
        held = ledger.order() or order
        fulfilled = ledger.rounds() >= held.rounds
        for record in ledger.records(seen + 1):
            on_record(record)
            seen = record.term
        if fulfilled:
            return held
        time.sleep(LOOK_SECONDS)
