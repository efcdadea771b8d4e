"""Order the federation to run: sign, spread from the own site, wait until it is fulfilled."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from deploy.operating.running import read_notes
from deploy.serving.job import ServerJob
from deploy.serving.own_superlink import OwnSuperLink, own_superlink
from deploy.site.layout import Layout
from deploy.site.site_on_disk import SiteOnDisk
from strategies.errors import DeploymentError, FederationStopped
from strategies.protocol.records import RunOrder, TermRecord
from strategies.protocol.signatures import sign_order

SPREAD_SECONDS = 120.0
LOOK_SECONDS = 0.2
TRIES = 3
"""A site that has lost its orders learns the next number in its first try."""


def order_rounds(site: SiteOnDisk, rounds: int) -> RunOrder:
    """Order terms until ``rounds`` rounds are committed in all; a majority must follow.

    Raises :class:`DeploymentError` when the site is not up, :class:`FederationStopped` when no
    majority follows the order.
    """
    layout = Layout.of(site.settings)
    if read_notes(layout) is None:
        raise DeploymentError(
            f"the site of {site.vendor} is not up",
            "a site that runs",
            f"srflm up {site.folder}",
            DeploymentError.NOT_UP,
        )
    known = site.state.ledger.order()
    number = known.number if known is not None else 0
    for _ in range(TRIES):
        order = RunOrder(
            number=number + 1, federation=site.federation.hash, rounds=rounds, vendor=site.vendor
        )
        order = sign_order(order, site.keys)
        task = ServerJob(name=uuid.uuid4().hex, kind="order", order=order)
        patience = SPREAD_SECONDS + 2 * site.federation.run.answer_deadline
        number = _perform(own_superlink(layout), task, patience)
        if not number:
            return order
    raise FederationStopped(
        f"the order was not taken: others have given orders up to {number} meanwhile",
        "one vendor that orders at a time",
        "see `srflm status` at the sites, then order again",
        FederationStopped.NO_MAJORITY,
    )


def _perform(superlink: OwnSuperLink, task: ServerJob, patience: float) -> int:
    """Let the own SuperLink spread an order; wait for the outcome, at most ``patience`` seconds.

    Returns 0 if a majority follows the order, else the number that others have used already.
    """
    until, run = time.monotonic() + patience, None
    while time.monotonic() < until:
        if run is None:
            try:
                run = superlink.start(task)
            except RuntimeError:  # it is starting
                time.sleep(1.0)
                continue
        outcome = superlink.outcome(task.name)
        if outcome is not None and outcome.result in ("ordered", "outnumbered"):
            return outcome.number
        if outcome is not None:
            raise FederationStopped(
                f"the order was not taken: {outcome.text}",
                "a majority of sites that are up and follow this vendor's orders",
                "see `srflm status` at the sites, then order again",
                outcome.code if outcome.code in FederationStopped.codes else None,
            )
        time.sleep(LOOK_SECONDS)
    raise DeploymentError(
        "no answer from the own SuperLink",
        "an outcome of the order",
        "read the site's logs: superlink.log, worker.log",
        DeploymentError.NO_OUTCOME,
    )


def follow(
    site: SiteOnDisk, order: RunOrder, seen: int, on_record: Callable[[TermRecord], None]
) -> RunOrder:
    """Hand on the records after term ``seen`` until the order, or a later one, is fulfilled.

    Returns the order that was fulfilled.
    """
    ledger = site.state.ledger
    while True:
        for record in ledger.records(seen + 1):
            on_record(record)
            seen = record.term
        held = ledger.order() or order
        if ledger.rounds() >= held.rounds:
            return held
        time.sleep(LOOK_SECONDS)
