"""Spend a vendor's budget: reserve it in the ledger before the work, within the site's policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.ledger import PrivacyLedger, Refusal
from clients.privacy.ledger.policy import Budget, Request, check
from clients.privacy.ledger.policy import PrivacyPolicy as Policy
from clients.privacy.ledger.rows import Purpose, Use
from clients.privacy.settings import PrivacySettings
from strategies.errors import PrivacyError
from strategies.settings import Role


@dataclass(frozen=True)
class Spender:
    """One vendor's records in one federation.

    ``dataset`` is their name in the ledger, ``size`` their public number, and ``mechanisms`` has
    the mechanism of one round in each role.
    """

    ledger: PrivacyLedger
    policy: Policy
    settings: PrivacySettings
    budget: Budget
    dataset: str
    size: int
    mechanisms: dict[Role, Mechanism]
    federation: str

    @contextmanager
    def spending(self, role: Role, term: int, round_number: int) -> Iterator[Mechanism]:
        """Reserve a round's training in ``role``, give its mechanism, and settle it afterwards.

        Raises :class:`PrivacyError` before any training if the site's policy does not allow it
        (``POLICY``) or the budget is too small (``BUDGET_SPENT``).
        """
        mechanism = self.mechanisms[role]
        self._require_allowed(role)
        with self.releasing(role, mechanism, term, round_number):
            yield mechanism

    @contextmanager
    def releasing(
        self, purpose: Purpose, mechanism: Mechanism, term: int, round_number: int
    ) -> Iterator[None]:
        """Reserve a use of any purpose, and settle it afterwards; raises as :meth:`spending`."""
        use = Use(
            self.dataset, purpose, mechanism, self.federation, term, round_number, self.budget.unit
        )
        reservation = self.ledger.reserve(use, self.budget)
        if isinstance(reservation, Refusal):
            raise PrivacyError(
                f"work as {purpose} that the privacy budget of this site does not allow:"
                f" {reservation.reason}",
                "enough budget left",
                "nothing: the federation goes on with the others; this site still evaluates",
                reservation.code,
            )
        # Not in a finally: work that broke off stays visible as unsettled. It is spent either way.
        yield
        self.ledger.settle(reservation)

    def _require_allowed(self, role: Role) -> None:
        for violation in check(Request(role, self.mechanisms[role]), self.policy):
            raise PrivacyError(
                violation.found, violation.expected, violation.mend, PrivacyError.POLICY
            )
