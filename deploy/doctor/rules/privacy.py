"""Judge the privacy of this site's records: its own limits, its ledger, and its budget."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.doctor.facts import PrivacyFacts
from deploy.doctor.lines import error, of_error, ok, warning
from deploy.site.diagnosis import Line


def privacy_lines(facts: PrivacyFacts) -> Iterator[Line]:
    """Yield the lines about the privacy of a site's records."""
    yield _policy(facts)
    if facts.limit is None:
        return
    if facts.problem is not None:
        found = "the data owner's privacy ledger cannot be used"
        yield of_error("privacy.ledger", facts.problem, found)
        return
    yield ok("privacy.ledger", "the data owner's privacy ledger is whole")
    found = (
        f"ε {facts.spent:.2f} of {facts.limit:g} spent; {facts.rounds} planned rounds would bring"
        f" it to {facts.planned:.2f}"
    )
    # A hair of rounding must not turn an exact plan into a fault.
    if facts.next > facts.limit * (1 + 1e-9):
        yield error("privacy.budget", f"{found}; not one more round is left")
    elif facts.planned > facts.limit * (1 + 1e-9):
        yield warning("privacy.budget", found)
    else:
        yield ok("privacy.budget", found)


def _policy(facts: PrivacyFacts) -> Line:
    if not facts.refused:
        return ok("privacy.policy", "the agreed plan is within this site's own limits")
    found = "; ".join(f"as the {role}: {why}" for role, why in facts.refused.items())
    return (error if len(facts.refused) > 1 else warning)("privacy.policy", found)
