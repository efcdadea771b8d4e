"""Losses of the tasks: one number for each record, shape (B,).

Plain training takes their mean; private training clips each record's gradient by them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.losses import DiceLoss, SSIMLoss
from torch.nn import functional

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(outputs of the network, targets), both with the records first → losses (B,)."""

SSIM_SHARE = 0.84  # Zhao et al., IEEE Trans. Comput. Imaging 3:47, 2017


def cross_entropy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of logits (B, K, *space) and labels (B, *space)."""
    return mean_of_each(functional.cross_entropy(outputs, targets, reduction="none"))


def dice_and_cross_entropy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return soft Dice loss + cross-entropy of logits (B, K, *space) and labels (B, *space).

    The Dice loss of a record is its mean over the classes.
    """
    classes = torch.arange(outputs.shape[1], device=targets.device)
    classes = classes.view(1, -1, *[1] * (targets.ndim - 1))
    one_hot = (targets.unsqueeze(1) == classes).to(outputs.dtype)
    dice = DiceLoss(softmax=True, reduction="none")(outputs, one_hot)
    entropy = functional.cross_entropy(outputs, targets, reduction="none")
    return mean_of_each(dice) + mean_of_each(entropy)


def squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error of images (B, …) and targets of the same shape."""
    return mean_of_each(functional.mse_loss(outputs, targets, reduction="none"))


def absolute_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute error of images (B, …) and targets of the same shape."""
    return mean_of_each(functional.l1_loss(outputs, targets, reduction="none"))


def absolute_error_and_ssim(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return 0.16·L1 + 0.84·(1 − SSIM) of images (B, C, *space) in [−1, 1] and targets.

    The images have at least 11 pixels a side.
    """
    space = outputs.ndim - 2
    # Non-negative values, as SSIM's constants assume; the range is that of the window.
    dissimilar = SSIMLoss(spatial_dims=space, data_range=1.0, reduction="none")(
        (outputs + 1) / 2, (targets + 1) / 2
    )
    return (1 - SSIM_SHARE) * absolute_error(outputs, targets) + SSIM_SHARE * mean_of_each(
        dissimilar
    )


def mean_of_each(losses: torch.Tensor) -> torch.Tensor:
    """Return each record's mean, shape (B,), of losses (B, …)."""
    return losses.flatten(1).mean(1) if losses.ndim > 1 else losses
