"""The metrics that may leave a vendor's site under the federation's ``privacy.metrics``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from clients.data.vendor_data import SplitName
from clients.learner import Learner
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.manifest import manifest_of
from clients.privacy.ledger.spending import Spender
from clients.privacy.metrics import noisy_shares
from clients.privacy.noise import private_randomness
from clients.privacy.training.units import count_units, patient_means, patients_of
from strategies.errors import PrivacyError
from strategies.protocol.records import Metrics

PERSONALISED = "personalised"
"""The personalised model is chosen on the records on which it is measured, so noise on its score
alone would not hide them."""


def released_metrics(
    learner: Learner,
    exact: Mapping[str, Metrics],
    shares: Mapping[str, torch.Tensor],
    split: SplitName,
    term: int,
) -> dict[str, Metrics]:
    """Return the metrics on one split that may leave the site, each with ``examples``.

    Without differential privacy, or with ``privacy.metrics = "exact"``, these are all metrics.
    Otherwise they are the means of the scores of which each record's ``shares`` (n,) of the range
    are given, with noise, or nothing if metrics are withheld or the budget of these records is
    spent.  Where patients are protected, each counts once, by the mean of its records.  Raises
    :class:`PrivacyError` for a ledger that cannot be used.
    """
    spender, records = learner.spender, learner.data.split(split)
    examples = len(records)
    if spender is None or spender.settings.metrics == "exact":
        return {name: {**each, "examples": float(examples)} for name, each in exact.items()}
    unit = spender.budget.unit
    told = {
        name: mean_share(each, patients_of(records) if unit == "patient" else None)
        for name, each in shares.items()
        if name != PERSONALISED
    }
    if spender.settings.metrics == "withheld" or not told:
        return {}
    mechanism = Mechanism(spender.settings.metrics_noise, 1.0, 1)
    try:
        # Validation and test records have budgets of their own, apart from the training records'.
        with _for_split(spender, learner, split).releasing("metrics", mechanism, term, term):
            noisy, counted = noisy_shares(
                told, count_units(records, unit), mechanism.noise_multiplier, private_randomness()
            )
    except PrivacyError as error:
        if error.code != PrivacyError.BUDGET_SPENT:
            raise
        return {}  # a spent budget ends the metrics, not the vendor's part in the term
    metric = learner.task.settings.released
    low, high = learner.task.settings.metrics[metric].bound
    return {
        name: {metric: low + share * (high - low), "examples": counted}
        for name, share in noisy.items()
    }


def mean_share(shares: torch.Tensor, patients: torch.Tensor | None) -> float:
    """Return the mean of shares (n,), or the mean over ``patients`` (n,) of each one's mean."""
    return float((shares if patients is None else patient_means(shares, patients)).mean())


def _for_split(spender: Spender, learner: Learner, split: SplitName) -> Spender:
    manifest = manifest_of(learner.data.split(split))
    return replace(spender, dataset=spender.ledger.enrol(manifest))
