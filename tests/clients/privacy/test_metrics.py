"""Noisy scores have three digits: no more of the noise leaves than is needed."""

from __future__ import annotations

from clients.privacy.metrics import noisy_shares
from tests.support.learning.private_training import not_private_randomness


def test_released_metrics_have_three_digits() -> None:
    for seed in range(50):
        shares, examples = noisy_shares(
            {"averaged": 0.5, "finetuned": 1 / 3}, 2345, 5.0, not_private_randomness(seed)
        )
        assert all(share == round(share, 3) for share in shares.values())
        assert examples == float(f"{examples:.3g}")
