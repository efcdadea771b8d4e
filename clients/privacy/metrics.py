"""Add noise to the accuracies that leave a site."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from clients.privacy.gaussian import release
from clients.privacy.noise import Randomness


def noisy_accuracies(
    accuracies: Mapping[str, float], examples: int, noise_multiplier: float, randomness: Randomness
) -> tuple[dict[str, float], float]:
    """Return noisy accuracies and number of examples, as one release of the Gaussian mechanism.

    Accuracies are rounded to three decimal places, the number to three digits.  The models must
    have been chosen without these records; leave out all others.
    """
    # One record more may change which model is the best, and so an accuracy by any amount. This
    # noise does not cover such a change, hence the rule about chosen models.
    exact = [value * examples for value in accuracies.values()]
    counts = torch.tensor([*exact, float(examples)], dtype=torch.float64)
    # A record changes each of k numbers of right answers, and the number of records, by at most 1:
    # the sensitivity of the k + 1 counts together is √(k + 1).
    deviation = noise_multiplier * math.sqrt(len(counts))
    noisy = release(counts, deviation, randomness).tolist()
    found = max(noisy.pop(), 1.0)  # the divisor; noise may make it 0 or less
    # More digits would be noise, and a way to learn the noise exactly.
    shares = {
        name: round(min(max(n / found, 0.0), 1.0), 3)
        for name, n in zip(accuracies, noisy, strict=True)
    }
    return shares, float(f"{found:.3g}")
