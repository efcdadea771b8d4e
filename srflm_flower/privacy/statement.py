"""The privacy promise of a federation in words, and its exclusions.  Pure.

The report prints all of it, ``srflm privacy show`` the exclusions, ``srflm status`` what is spent.
docs/explanation/epsilon.md gives the reason for each exclusion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from srflm_flower.federation.federation import Federation
from strategies.protocol.records import TermRecord, VendorPrivacy

NOT_PRIVATE = "No differential privacy in this run."
NOT_COVERED = (
    "that a vendor takes part, its public size, and its roles;"
    " that a vendor stops early, which tells of images that it has used before;"
    " training for a comparison, and at sites that name another ledger;"
    " a person with m records, where these are protected, by more than m·ε;"
    " a person at several vendors by more than the sum of their ε;"
    " image files that were made anew from the same images and so count as other data;"
    " noise that differs between the roles: δ can then be larger;"
    " preprocessing and hyper-parameters chosen by looking at the data;"
    " what is released outside of this ledger; timing, error codes, and metadata"
)
UNITS = {"record": "one training image", "patient": "all training images of one patient"}
METRICS = {
    "noisy": "Accuracies on validation and test data leave with noise, against a budget of their"
    " own; each site's ledger says how much of it is spent.",
    "withheld": "Metrics on validation and test data do not leave the sites.",
    "exact": "METRICS ON VALIDATION AND TEST DATA LEAVE THE SITES AS THEY ARE: no ε covers them.",
}


def last_privacy(records: Sequence[TermRecord]) -> Mapping[str, VendorPrivacy]:
    """Return each vendor's privacy as reported in the last record."""
    return records[-1].privacy if records else {}


def promise(federation: Federation) -> str:
    """Return the promise in a paragraph, or a sentence saying that there is none."""
    settings = federation.privacy
    if not settings.private:
        return NOT_PRIVATE
    return (
        "What each vendor sends of its training in this federation (its models as client and as"
        " server, and its noisy loss) is (ε, δ)-differentially private with respect to"
        f" {UNITS[settings.unit]} added or removed, over all rounds and both roles together."
        " This holds against all other vendors, the elected servers, and whoever uses the models,"
        " even if they pool what they know. Noise comes from a cryptographic generator."
        " It is no protection against poisoned models."
    )


def exclusions(federation: Federation) -> str:
    """Return the exclusions from the promise; empty without differential privacy."""
    if not federation.privacy.private:
        return ""
    return f"Not covered: {NOT_COVERED}. {METRICS[federation.privacy.metrics]}"


def spent_line(privacy: Mapping[str, VendorPrivacy]) -> str:
    """Return each vendor's ε in a line; empty if no vendor reported any."""
    parts = [f"{vendor} {each.epsilon:.2f}{_can(each)}" for vendor, each in privacy.items()]
    deltas = sorted({each.delta for each in privacy.values()})
    at = ", ".join(f"{delta:g}" for delta in deltas)
    return f"ε spent (δ = {at}): {', '.join(parts)}" if parts else ""


def _can(privacy: VendorPrivacy) -> str:
    """Return the role that a vendor can no longer afford, in brackets; empty if none."""
    if not privacy.can_train:
        return " (evaluates only)" if not privacy.can_serve else " (serves only)"
    return "" if privacy.can_serve else " (no longer serves)"
