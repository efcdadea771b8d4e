"""Dirac canaries: each has a gradient and, if it is one of the first, a loss of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clients.privacy.audit.canaries import (
    FIRST_BIT,
    GAIN,
    LOSS_BOUND,
    LOSS_CANARIES,
    Canaries,
    DiracNetwork,
    bits_of_loss,
)
from clients.privacy.gradients.gradients import LoopGradients
from clients.privacy.gradients.guard import check_dp_ready
from clients.privacy.gradients.networks import make_probe
from clients.tasks.losses import cross_entropy

COUNT = 60


def gradients_and_losses(included: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    data = Canaries(included).data().train
    network = DiracNetwork(COUNT)
    (rows,), losses = LoopGradients(network, cross_entropy).per_record(data.images, data.targets)
    return rows, losses


def test_canary_moves_its_own_weight_only() -> None:
    rows, losses = gradients_and_losses(np.ones(COUNT, dtype=bool))
    assert torch.equal(rows != 0, torch.eye(COUNT, dtype=torch.bool))
    assert rows.diagonal().min() >= GAIN, "far above the clipping bound"
    expected = 2.0 ** (FIRST_BIT + np.arange(LOSS_CANARIES))
    assert losses[:LOSS_CANARIES].tolist() == expected.tolist()
    assert losses[LOSS_CANARIES:].tolist() == pytest.approx([np.log(2)] * (COUNT - LOSS_CANARIES))
    assert losses.max() <= LOSS_BOUND


def test_canary_that_is_out_is_as_if_it_were_not_there() -> None:
    rows, losses = gradients_and_losses(np.zeros(COUNT, dtype=bool))
    assert not rows.any() and not losses.any()


def test_network_may_train_privately() -> None:
    check_dp_ready(DiracNetwork(COUNT), make_probe((1, COUNT + 1), torch.device("cpu")))


def test_sum_of_losses_without_noise_tells_who_is_in() -> None:
    for seed in range(20):
        canaries = Canaries.toss(COUNT, np.random.default_rng(seed))
        _, losses = gradients_and_losses(canaries.included)
        total = losses.double().sum()
        batch, scale = COUNT - 1, 0.3 / LOSS_BOUND
        told = float(total * scale / (batch * scale)) * batch
        assert np.array_equal(bits_of_loss(told) > 0.5, canaries.included[:LOSS_CANARIES])


@pytest.mark.parametrize("value", [-1e30, 1e30, float("nan"), float("inf")])
def test_loss_that_is_noise_is_read_as_something(value: float) -> None:
    assert set(bits_of_loss(value)) <= {0.0, 1.0}


@pytest.mark.parametrize("count", [LOSS_CANARIES - 1, 5000])
def test_too_few_and_too_many_canaries_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"canaries: {count}"):
        Canaries.toss(count, np.random.default_rng(0))
