"""The privacy promise of a federation in words, and its exclusions.  Pure.

The report, ``srflm status``, and ``srflm privacy show`` all print this text.  The statements that
are not yet true are listed in docs/explanation/epsilon.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from srflm_flower.federation.federation import Federation
from strategies.protocol.records import TermRecord, VendorPrivacy

NOT_PRIVATE = "No differential privacy in this run."
NOT_COVERED = (
    "that a vendor takes part, its public size, its roles, and the schedule;"
    " a person with m records, where these are protected, by more than m·ε;"
    " a person at several vendors by more than the sum of their ε;"
    " preprocessing and hyper-parameters chosen by looking at the data;"
    " image files that were made anew from the same images and so count as other data;"
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
    random = (
        " Noise comes from a cryptographic generator."
        if settings.random == "secure"
        else " It assumes that nobody learns the state of a site's random generator."
    )
    return (
        "For each vendor, everything that it sends of its training (its models as client and as"
        " server in all rounds, and its noisy loss) is (ε, δ)-differentially private with respect"
        f" to {UNITS[settings.unit]} added or removed, over all rounds, both roles, and all"
        " federations in which its site has taken part. It holds against all other vendors, the"
        " elected server, and whoever uses the models, colluding."
        + random
        + " Other vendors are trusted to follow"
        " the protocol: this is no protection against poisoned models."
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
