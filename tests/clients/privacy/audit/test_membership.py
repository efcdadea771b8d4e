"""LiRA's arithmetic: what it finds where there is something, and where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from clients.privacy.audit.membership import (
    advantage,
    draw_halves,
    likelihood_ratios,
)


def attack(shift: float, models: int = 16, records: int = 300) -> tuple[float, float]:
    """Attack made-up models that are more confident by ``shift`` of what they were trained on."""
    rng = np.random.default_rng(3)
    halves = draw_halves(models, records, rng)
    hardness = rng.normal(0, 5, records)
    confidence = hardness + shift * halves + rng.normal(size=halves.shape)
    found = advantage(likelihood_ratios(confidence, halves), halves)
    return found.auc, found.true_positives


def test_every_record_is_in_half_of_the_models() -> None:
    halves = draw_halves(6, 40, np.random.default_rng(0))
    assert (halves.sum(axis=0) == 3).all() and 0 < halves[0].mean() < 1


@pytest.mark.parametrize("models", [2, 3, 7])
def test_number_of_models_is_even_and_four_at_least(models: int) -> None:
    with pytest.raises(ValueError, match="even"):
        draw_halves(models, 10, np.random.default_rng(0))


def test_attack_compares_each_record_with_itself() -> None:
    """A threshold on the confidence alone would find hardly anything: records differ far more."""
    auc, found = attack(2.0)
    assert auc > 0.85 and found > 0.15


def test_attack_finds_nothing_where_there_is_nothing() -> None:
    auc, found = attack(0.0)
    assert auc == pytest.approx(0.5, abs=0.03) and found < 0.03


def test_area_counts_pairs_in_order_and_equal_ones_half() -> None:
    scores, members = np.array([0.0, 4, 6, 7, 1, 2, 3, 5]), np.arange(8) < 4
    assert advantage(scores, members).auc == 11 / 16
    assert advantage(np.zeros(8), members).auc == 0.5
    assert advantage(np.zeros(8), members).true_positives == 0


def test_rate_is_taken_above_the_highest_percent_of_the_others() -> None:
    others, members = np.arange(100.0), np.array([98.5, 99.5, 98.0, 1.0])
    found = advantage(np.concatenate([members, others]), np.arange(104) < 4)
    assert found.true_positives == 0.5
