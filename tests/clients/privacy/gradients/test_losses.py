"""Losses give one number a record, and nothing of the other records."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import nn
from torch.nn import functional

from clients.privacy.gradients.losses import check_no_coupling, make_targets, per_record
from clients.tasks.losses import (
    Loss,
    absolute_error,
    cross_entropy,
    dice_and_cross_entropy,
    squared_error,
)
from strategies.errors import PrivacyError

LOGITS = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
MASKS = make_targets(LOGITS, torch.zeros(1, 6, 6, dtype=torch.long))
FLAT, LABELS = LOGITS[..., 0, 0], torch.tensor([0, 1, 2, 1])


def spread(loss: Loss) -> Loss:
    """Return a scalar loss as if it were one number a record."""
    return lambda outputs, targets: loss(outputs, targets).expand(len(outputs))


@pytest.mark.parametrize(
    ("loss", "outputs", "targets"),
    [
        (cross_entropy, FLAT, LABELS),
        (cross_entropy, LOGITS, MASKS),
        (dice_and_cross_entropy, LOGITS, MASKS),
        (squared_error, LOGITS, LOGITS + 1),
        (absolute_error, LOGITS, LOGITS + 1),
    ],
)
def test_offered_losses_are_of_each_record_alone(
    loss: Loss, outputs: torch.Tensor, targets: torch.Tensor
) -> None:
    losses = loss(outputs, targets)
    assert losses.shape == (4,)
    for i in range(4):
        assert torch.isclose(loss(outputs[i : i + 1], targets[i : i + 1])[0], losses[i])
    check_no_coupling(loss, outputs, targets)


def test_mean_of_the_losses_is_the_usual_loss() -> None:
    usual = nn.CrossEntropyLoss()(LOGITS, MASKS)
    assert torch.isclose(cross_entropy(LOGITS, MASKS).mean(), usual)
    both = DiceCELoss(softmax=True, to_onehot_y=True)(LOGITS, MASKS.unsqueeze(1))
    assert torch.isclose(dice_and_cross_entropy(LOGITS, MASKS).mean(), both)
    assert torch.isclose(squared_error(LOGITS, LOGITS + 2).mean(), torch.tensor(4.0))
    assert torch.isclose(absolute_error(LOGITS, LOGITS + 2).mean(), torch.tensor(2.0))


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 1.0])),
        nn.CrossEntropyLoss(reduction="none"),
        lambda o, y: DiceLoss(softmax=True, to_onehot_y=True, reduction="none")(o, y[:, None]),
        lambda o, y: DiceLoss(sigmoid=True, reduction="none")(o[:, :1], y[:, None].float()),
        lambda o, y: DiceLoss(softmax=True, to_onehot_y=True, batch=True)(o, y[:, None]),
    ],
)
def test_loss_of_another_shape_is_refused(loss: Loss) -> None:
    with pytest.raises(PrivacyError, match="one number per record") as refused:
        per_record(loss)(LOGITS, MASKS)
    assert refused.value.code == PrivacyError.LOSS


@pytest.mark.parametrize(
    "loss",
    [
        spread(nn.CrossEntropyLoss()),
        spread(nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 1.0]))),
        spread(nn.CrossEntropyLoss(ignore_index=0)),
        spread(lambda o, y: DiceLoss(softmax=True, to_onehot_y=True, batch=True)(o, y[:, None])),
        lambda o, y: cross_entropy(o, y) / len(o),
        lambda o, y: cross_entropy(o, y) / cross_entropy(o, y).detach().sum(),
        lambda o, y: cross_entropy(o, y) / (y == 1).sum(),
    ],
)
def test_loss_that_couples_records_is_refused(loss: Loss) -> None:
    with pytest.raises(PrivacyError, match="depend on each other"):
        check_no_coupling(loss, LOGITS, MASKS)


def test_class_weights_of_each_record_by_itself_are_allowed() -> None:
    def weighted(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        weights = torch.tensor([1.0, 5.0, 1.0])
        return functional.cross_entropy(outputs, labels, weight=weights, reduction="none")

    check_no_coupling(weighted, FLAT, LABELS)


def test_made_up_targets_are_of_the_kind_of_the_true_ones() -> None:
    labels = make_targets(FLAT, torch.zeros(9, dtype=torch.long))
    assert labels.shape == (4,) and labels.dtype == torch.long and int(labels.max()) < 3
    images = make_targets(LOGITS, torch.zeros(9, 3, 6, 6))
    assert images.shape == LOGITS.shape and images.is_floating_point()
