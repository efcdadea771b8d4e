"""Add noise to the scores that leave a site."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from clients.privacy.gaussian import release
from clients.privacy.noise import Randomness


def noisy_shares(
    shares: Mapping[str, float], examples: int, noise_multiplier: float, randomness: Randomness
) -> tuple[dict[str, float], float]:
    """Return noisy means and number of examples, as one release of the Gaussian mechanism.

    ``shares`` are means over the examples of scores in [0, 1], each of one record alone.  They are
    rounded to three decimal places, the number to three digits.  The models must have been chosen
    without these records; leave out all others.
    """
    # One record more may change which model is the best, and so a mean by any amount. This noise
    # does not cover such a change, hence the rule about chosen models.
    exact = [value * examples for value in shares.values()]
    counts = torch.tensor([*exact, float(examples)], dtype=torch.float64)
    # A record changes each of k sums of scores, and the number of records, by at most 1: the
    # sensitivity of the k + 1 sums together is √(k + 1).
    deviation = noise_multiplier * math.sqrt(len(counts))
    noisy = release(counts, deviation, randomness).tolist()
    found = max(noisy.pop(), 1.0)  # the divisor; noise may make it 0 or less
    # More digits would be noise, and a way to learn the noise exactly.
    told = {
        name: round(min(max(n / found, 0.0), 1.0), 3) for name, n in zip(shares, noisy, strict=True)
    }
    return told, float(f"{found:.3g}")
