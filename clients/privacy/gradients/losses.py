"""Checks of losses: per-record clipping needs one number for each record, of that record alone."""

from __future__ import annotations

import torch

from clients.tasks.losses import Loss
from strategies.errors import PrivacyError

MEND = 'build it with reduction="none" and take the mean of each record by itself'


def per_record(loss: Loss) -> Loss:
    """Return ``loss`` with a check that it gives one number per record, shape (B,).

    The check raises :class:`PrivacyError`.
    """

    def checked(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        losses = loss(outputs, targets)
        # MONAI's Dice loss gives (B, 1, 1, 1). Times B clip factors that broadcasts to B × B, and
        # clipping would fail silently.
        if losses.shape != outputs.shape[:1]:
            raise PrivacyError(
                f"a loss of shape {tuple(losses.shape)} for {len(outputs)} records",
                f"one number per record, shape ({len(outputs)},)",
                MEND,
                PrivacyError.LOSS,
            )
        return losses

    return checked


def check_no_coupling(loss: Loss, outputs: torch.Tensor, targets: torch.Tensor) -> None:
    """Raise :class:`PrivacyError` if a record's loss depends on the other records.

    Examples are means weighted by class, means without an ignored label, and Dice over a batch.
    ``outputs`` and ``targets`` are made up: three or more records, all different.
    """
    # A coupled loss breaks the bound on each record's contribution, though every gradient is
    # clipped. Three signs: record 0's loss has a slope at other records' outputs, differs when it
    # is alone, or changes when the others' outputs and targets do.
    outputs = outputs.detach().clone().requires_grad_()
    losses = per_record(loss)(outputs, targets)
    (slopes,) = torch.autograd.grad(losses[0], outputs)
    alone = per_record(loss)(outputs[:1], targets[:1])[0]
    order = [0, *range(len(targets) - 1, 0, -1)]
    others = per_record(loss)(outputs[order] * 2, torch.cat([targets[:1], targets[:-1]]))
    doubled = per_record(loss)(outputs * 2, targets)
    coupled = bool(slopes[1:].abs().max() > 0) if len(slopes) > 1 else False
    if coupled or not _same(losses[0], alone) or not _same(others[0], doubled[0]):
        raise PrivacyError(
            "a loss in which the records of a batch depend on each other",
            "a loss of each record by itself (no class weights or ignored labels in a mean,"
            " no Dice over the batch)",
            MEND,
            PrivacyError.LOSS,
        )


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(torch.isclose(one, other, rtol=1e-4, atol=1e-6))


def make_targets(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return made-up targets for ``outputs``, in type and shape like ``labels`` (n, *shape)."""
    generator = torch.Generator().manual_seed(0)
    shape = (len(outputs), *labels.shape[1:])
    if labels.is_floating_point():
        return torch.randn(shape, generator=generator).to(outputs.device, labels.dtype)
    classes = max(2, outputs.shape[1])
    return torch.randint(0, classes, shape, generator=generator).to(outputs.device, labels.dtype)
