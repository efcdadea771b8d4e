"""Look at the privacy of this site's records: its policy, its ledger, and what is left."""

from __future__ import annotations

from clients.privacy.accounting.accounting import epsilon_quickly
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.policy import ROLES, Request, budget, check
from clients.privacy.ledger.rows import Books
from deploy.doctor.facts import PrivacyFacts
from deploy.site.privacy_files import site_ledger
from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.federation.federation import Federation
from strategies.errors import SrflmError


def privacy_facts(site: SiteOnDisk) -> PrivacyFacts | None:
    """Return the facts about the privacy of a site's records; None if nobody asks for any."""
    federation, policy = site.federation, site.settings.privacy
    if not federation.privacy.private:
        if not policy.required:
            return None
        violations = check(Request("client", None), policy)
        refused = dict.fromkeys(ROLES, violations[0].found)
        return PrivacyFacts(refused, None, None)
    limit = budget(federation.privacy, policy, federation.rounds_per_term)
    mechanisms = {role: federation.mechanism(site.vendor, role) for role in ROLES}
    refused = {
        role: violations[0].found
        for role, mechanism in mechanisms.items()
        if (violations := check(Request(role, mechanism), policy))
    }
    try:
        books = site_ledger(site.settings).books()
    except SrflmError as problem:
        return PrivacyFacts(refused, problem, limit.epsilon)
    left = planned_rounds(site)
    as_client, as_server = _roles(federation, left)
    more = _times(mechanisms["client"], as_client) + _times(mechanisms["server"], as_server)
    spent = _most_spent(books, limit.delta)

    def epsilon(further: tuple[Mechanism, ...]) -> float:
        return epsilon_quickly([*spent, *further], limit.delta)

    return PrivacyFacts(
        refused,
        None,
        limit.epsilon,
        spent=epsilon(()),
        next=epsilon(_times(mechanisms["client"], 1)),
        planned=epsilon(more),
        rounds=left,
    )


def planned_rounds(site: SiteOnDisk) -> int:
    """Return the rounds that are still to be run: of the newest order, or of the agreed file."""
    ledger = site.state.ledger
    order = ledger.order()
    rounds = order.rounds if order is not None else site.federation.run.rounds
    return max(0, rounds - ledger.rounds())


def _roles(federation: Federation, rounds: int) -> tuple[int, int]:
    """Return the rounds as a client and as the server, if all vendors take turns."""
    turns = -(-rounds // (federation.rounds_per_term * len(federation.roster)))
    served = min(turns, federation.server_terms or turns) * federation.rounds_per_term
    return max(0, rounds - served), min(served, rounds)


def _times(mechanism: Mechanism | None, rounds: int) -> tuple[Mechanism, ...]:
    return (mechanism,) * rounds if mechanism is not None else ()


def _most_spent(books: Books, delta: float) -> tuple[Mechanism, ...]:
    """Return the uses of the data set on which most was spent, of those in use."""
    histories = [tuple(books.history(name)) for name in books.sizes if not books.retired(name)]
    return max(histories, key=lambda each: epsilon_quickly(each, delta), default=())
