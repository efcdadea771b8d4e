"""What of a vendor's metrics leaves its site, as the federation's ``privacy.metrics`` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clients.data.vendor_data import SplitName
from clients.learner import Learner
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.ledger.manifest import manifest_of
from clients.privacy.ledger.spending import Spender
from clients.privacy.metrics import noisy_accuracies
from clients.privacy.noise import private_randomness
from strategies.errors import PrivacyError
from strategies.protocol.records import Metrics

PERSONALISED = "personalised"
"""Chosen by the very records that it is measured on: noise on its accuracy would not hide them."""


def released_metrics(
    learner: Learner, exact: Mapping[str, Metrics], split: SplitName, term: int
) -> dict[str, Metrics]:
    """Return what leaves the site of the metrics on one of its splits, each with ``examples``.

    Without differential privacy all of it; with it accuracies with noise, as long as the budget of
    these records lasts, or nothing.
    """
    spender, examples = learner.spender, len(learner.data.split(split))
    if spender is None or spender.settings.metrics == "exact":
        return {name: {**each, "examples": float(examples)} for name, each in exact.items()}
    accuracies = {
        name: each["accuracy"]
        for name, each in exact.items()
        if name != PERSONALISED and "accuracy" in each
    }
    if spender.settings.metrics == "withheld" or not accuracies:
        return {}
    mechanism = Mechanism(spender.settings.metrics_noise, 1.0, 1)
    try:
        with _for_split(spender, learner, split).releasing("metrics", mechanism, term, term):
            randomness = private_randomness(spender.settings.random)
            noisy, counted = noisy_accuracies(
                accuracies, examples, mechanism.noise_multiplier, randomness
            )
    except PrivacyError as error:
        if error.code != PrivacyError.BUDGET_SPENT:
            raise
        return {}
    return {name: {"accuracy": value, "examples": counted} for name, value in noisy.items()}


def _for_split(spender: Spender, learner: Learner, split: SplitName) -> Spender:
    manifest = manifest_of(learner.data.split(split))
    return replace(spender, dataset=spender.ledger.enrol(manifest))
