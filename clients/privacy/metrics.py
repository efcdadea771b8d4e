"""Metrics that leave a site: accuracies with noise, counted against the records behind them.

A record contributes to each model's number of right answers at most once, and once to the number of
records: k + 1 counts that change by at most 1 each, a vector of norm √(k + 1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from clients.privacy.gaussian import release
from clients.privacy.noise import Randomness


def noisy_accuracies(
    accuracies: Mapping[str, float], examples: int, noise_multiplier: float, randomness: Randomness
) -> tuple[dict[str, float], float]:
    """Return the accuracies and the number of examples, as one release of the Gaussian mechanism.

    The models must have been chosen without these records: whichever was chosen by them may change
    altogether with one record, and must be left out.
    """
    exact = [value * examples for value in accuracies.values()]
    counts = torch.tensor([*exact, float(examples)], dtype=torch.float64)
    deviation = noise_multiplier * math.sqrt(len(counts))
    noisy = release(counts, deviation, randomness).tolist()
    found = max(noisy.pop(), 1.0)
    shares = {
        name: min(max(n / found, 0.0), 1.0) for name, n in zip(accuracies, noisy, strict=True)
    }
    return shares, found
