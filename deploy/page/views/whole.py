"""The whole page as one plain object, which the template prints."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.page.config import PageConfig
from deploy.page.snapshot import Snapshot
from deploy.page.views.budget import Budget, budget
from deploy.page.views.curves import Curves, curves
from deploy.page.views.health import Health, health
from deploy.page.views.ledger import LedgerPage, ledger_page
from deploy.page.views.live import Live, live
from deploy.page.views.matrix import Matrix, matrix
from deploy.page.views.messages import Outgoing, Refused, outgoing, refused
from deploy.page.views.ring import Ring, ring
from deploy.page.views.succession import Succession, succession


@dataclass(frozen=True)
class Whole:
    """Everything on the page."""

    vendor: str
    name: str
    edition: int
    metric_title: str
    seen: Snapshot
    now: Live
    ring: Ring
    succession: Succession
    curves: Curves | None
    matrix: Matrix | None
    budget: Budget | None
    outgoing: Outgoing
    refused: tuple[Refused, ...]
    ledger: LedgerPage
    health: Health


def whole(config: PageConfig, seen: Snapshot, page: int = 1) -> Whole:
    """Return the page of a site, with the page ``page`` of its ledger."""
    roster = (seen.edition or config.first).roster
    now = live(config, seen)
    return Whole(
        config.vendor,
        config.name,
        config.edition,
        config.metric_title,
        seen,
        now,
        ring(seen, roster, now, config.vendor),
        succession(config, seen),
        curves(seen.terms, roster, config.vendor, config.metric_title),
        matrix(seen.terms, roster),
        budget(config, seen),
        outgoing(config, seen),
        refused(seen),
        ledger_page(seen, page, config.metric_title),
        health(config, seen),
    )
