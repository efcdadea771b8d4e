"""The privacy that a vendor reports: the agreed plan's cost in the roles that it has had.  Pure.

A site's own ledger knows more, such as work that broke off and images that were used before, and
tells it at home only: ``srflm privacy show`` and ``srflm status``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from clients.privacy.accounting.accounting import epsilon_quickly, within
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.policy import ROLES, Request, check
from clients.privacy.ledger.spending import Spender
from strategies.protocol.records import TermRecord, VendorPrivacy
from strategies.settings import Role


def scheduled_privacy(
    spender: Spender,
    vendor: str,
    records: Sequence[TermRecord],
    now: Collection[Role],
    rounds_per_term: int,
) -> VendorPrivacy:
    """Return ε of the committed ``records`` (all, oldest first) and the open term, by the plan.

    ``now`` are the roles in which ``vendor`` has trained in the open term.  ``can_serve`` and
    ``can_train`` say whether one more round in the role fits into what was agreed and allowed.
    """
    # The true figure depends on which images overlap earlier data sets: without any noise it would
    # tell whether one particular image is here.  Agreed noise, agreed sizes, the roles in public
    # records, and the site's settings tell nothing of the kind.
    rounds = _rounds(records, vendor)
    for role in now:
        rounds[role] += rounds_per_term
    history = [
        _times(spender.mechanisms[role], count) for role, count in rounds.items() if count > 0
    ]
    delta, limit = spender.budget.delta, spender.budget.epsilon

    def can(role: Role) -> bool:
        more = spender.mechanisms[role]
        return not check(Request(role, more), spender.policy) and within(
            [*history, more], delta, limit
        )

    return VendorPrivacy(
        epsilon=epsilon_quickly(history, delta),
        delta=delta,
        can_serve=can("server"),
        can_train=can("client"),
    )


def _rounds(records: Sequence[TermRecord], vendor: str) -> dict[Role, int]:
    rounds, before = dict.fromkeys(ROLES, 0), 0
    for record in records:
        # A server that failed may have trained before it did.
        if vendor in (record.server, *record.lost_servers):
            rounds["server"] += record.round - before
        # A client whose update the server could not use, or has left out, has trained all the same.
        if vendor != record.server and vendor in {*record.clients, *record.ballots}:
            rounds["client"] += record.round - before
        before = record.round
        change = record.roster_change
        if change is not None and vendor not in change.edition.roster:
            rounds = dict.fromkeys(ROLES, 0)  # a later vendor of that name is another site
    return rounds


def _times(mechanism: Mechanism, rounds: int) -> Mechanism:
    return replace(mechanism, steps=mechanism.steps * rounds)
