"""Gradients of every record by Opacus' per-layer rules: an independent check of the product's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from opacus.grad_sample import prepare_module
from torch import nn

from clients.privacy.gradients.gradients import MODES, Gradients, Mode, PerRecord, RecordGradients
from clients.privacy.gradients.networks import output_of
from clients.privacy.gradients.samplers import register_samplers
from clients.tasks.losses import Loss

Way = Mode | Literal["hooks"]


class HookGradients(RecordGradients):
    """Opacus' hooks, with the samplers of :mod:`clients.privacy.gradients.samplers`."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__(network, loss)
        register_samplers()
        self._trained = [p for p in network.parameters() if p.requires_grad]
        self._hooks = prepare_module(network, "hooks", wrap_model=False, loss_reduction="sum")

    def per_record(self, images: torch.Tensor, targets: torch.Tensor) -> PerRecord:
        # Images with a gradient keep PyTorch from warning of hooks without one.
        output = output_of(self.network(images.detach().requires_grad_()))
        losses = self.loss(output, targets)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        rows = [p.grad_sample for p in self._trained]  # type: ignore[attr-defined]
        self._hooks.set_grad_sample_to_none()
        for parameter in self._trained:
            parameter.grad = None
        return rows, losses.detach()

    def close(self) -> None:
        self._hooks.cleanup()


WAYS: Mapping[Way, Callable[[nn.Module, Loss], Gradients]] = {**MODES, "hooks": HookGradients}
"""The product's ways of computing the gradients of records, and the independent one."""
