"""Rules of classification; its metrics are tested in test_evaluation.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp

from clients.tasks.registry import task_of
from clients.tasks.task import Cases
from tests.support.learning.tasks import classification

FOUR = task_of(classification(classes=4))


def cases_of(labels: torch.Tensor) -> Cases:
    return Cases(torch.zeros(len(labels), 1, 8, 8), labels, torch.ones(len(labels), 2))


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 30), seed=st.integers(0, 2**32))
def test_mean_share_is_the_accuracy(count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 4, generator=generator)
    labels = torch.randint(0, 4, (count,), generator=generator)
    scores = FOUR.scores(logits, cases_of(labels), True)
    shares = FOUR.shares(scores)
    assert set(shares.tolist()) <= {0.0, 1.0}
    assert float(shares.mean()) == FOUR.summary(scores)["accuracy"]


def test_scores_of_parts_are_those_of_the_whole() -> None:
    logits, labels = torch.randn(9, 4), torch.arange(9) % 4
    whole = FOUR.scores(logits, cases_of(labels), True)
    parts = [
        FOUR.scores(logits[rows], cases_of(labels[rows]), True) for rows in ([0, 1], [*range(2, 9)])
    ]
    assert torch.cat(parts).equal(whole)


def test_confidence_is_the_log_odds_of_the_label() -> None:
    logits = np.random.default_rng(1).normal(size=(5, 4)) * 3
    labels = np.array([0, 3, 1, 2, 2])
    p = np.exp(log_softmax(logits, axis=1))[np.arange(5), labels]
    found = FOUR.confidence(torch.from_numpy(logits), torch.from_numpy(labels))
    assert found.tolist() == pytest.approx(np.log(p / (1 - p)))
    sure = FOUR.confidence(torch.tensor([[800.0, 0.0]]), torch.tensor([0]))
    assert float(sure[0]) == 800 - logsumexp([0.0])


def test_result_is_the_probability_of_each_class() -> None:
    found = FOUR.result(torch.tensor([[0.0, 1.0, 2.0, 3.0]]))
    assert found.sum() == pytest.approx(1) and found.argmax() == 3
