"""ε spent and left, and what each vendor has done and may still do in each role.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.page.config import PageConfig
from deploy.page.snapshot import Snapshot


@dataclass(frozen=True)
class Spent:
    """One vendor's records: ε is of both roles together, as it does not add up role by role.

    ``epsilon`` is None where the vendor has not told it.
    """

    vendor: str
    epsilon: float | None
    left: float | None
    limit: float
    share: float
    rounds_trained: int
    terms_served: int
    can_train: bool
    can_serve: bool


@dataclass(frozen=True)
class Budget:
    """The members' budget at ``delta``, and what is spent of it by the agreed plan."""

    delta: float
    unit: str
    rows: tuple[Spent, ...]


def budget(config: PageConfig, seen: Snapshot) -> Budget | None:
    """Return the budget; None in a federation without differential privacy."""
    plan = config.privacy
    if plan is None:
        return None
    told = seen.last.privacy if seen.last is not None else {}
    rows = []
    for vendor in (seen.edition or config.first).roster:
        each = told.get(vendor)
        # This site's own limit; those of the others are their own affair.
        own = plan.limit if vendor == config.vendor and plan.limit is not None else plan.epsilon
        spent = each.epsilon if each is not None else None
        rows.append(
            Spent(
                vendor,
                spent,
                max(0.0, own - spent) if spent is not None else None,
                own,
                min(1.0, spent / own) if spent is not None else 0.0,
                seen.rounds_trained.get(vendor, 0),
                seen.terms_served.get(vendor, 0),
                each.can_train if each is not None else True,
                each.can_serve if each is not None else True,
            )
        )
    return Budget(plan.delta, plan.unit, tuple(rows))
