"""Compute the gradient of every record by itself, in three ways with the same result.

``vmap``   ``torch.func``: most networks, batched; needs B × parameters of memory.
``loop``   one record after the other: any network, little memory.
``ghost``  Opacus' fast gradient clipping: norms in a first backward pass, the clipped sum in a
           second; holds the per-record gradients of one layer at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import torch
from opacus.grad_sample import prepare_module
from torch import nn
from torch.func import functional_call, grad_and_value, vmap

from clients.privacy.gradients.networks import output_of
from clients.privacy.gradients.optimizer import PrivateOptimizer
from clients.privacy.gradients.samplers import register_samplers
from clients.tasks.losses import Loss
from strategies.errors import PrivacyError

Mode = Literal["vmap", "loop", "ghost"]
# Gradients (B, *shape) of all trained parameters in their order, and losses (B,).
PerRecord = tuple[list[torch.Tensor], torch.Tensor]


class Gradients(Protocol):
    """Adds the records of a physical batch to a step's sums; call ``close`` at the end."""

    def add(self, optimizer: PrivateOptimizer, images: torch.Tensor, targets: torch.Tensor) -> None:
        """Clip every record's gradient and add it, and its loss, to the optimizer's sums."""
        ...

    def close(self) -> None:
        """Leave the network as it was."""
        ...


class RecordGradients:
    """Gradients held one by one, so that several can be averaged before clipping."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        self.network, self.loss = network, loss

    def per_record(self, images: torch.Tensor, targets: torch.Tensor) -> PerRecord:
        """Return every record's gradient and loss."""
        raise NotImplementedError

    def add(self, optimizer: PrivateOptimizer, images: torch.Tensor, targets: torch.Tensor) -> None:
        """Clip every record's gradient and add it, and its loss, to the optimizer's sums."""
        optimizer.accumulate(*self.per_record(images, targets))

    def close(self) -> None:
        """Leave the network as it was."""


class VmapGradients(RecordGradients):
    """The gradient of a function of one record, vectorised by ``vmap``."""

    def per_record(self, images: torch.Tensor, targets: torch.Tensor) -> PerRecord:
        """Return every record's gradient and loss."""
        named = dict(self.network.named_parameters())
        trained = {name: p.detach() for name, p in named.items() if p.requires_grad}
        others = {name: p.detach() for name, p in named.items() if not p.requires_grad}
        others.update(self.network.named_buffers())

        def loss_of_one(
            weights: dict[str, torch.Tensor], image: torch.Tensor, target: torch.Tensor
        ) -> torch.Tensor:
            inputs = (image.unsqueeze(0),)
            # tie_weights=True would replace parameters with two names by plain tensors, for good.
            output = functional_call(self.network, {**weights, **others}, inputs, tie_weights=False)
            return self.loss(output_of(output), target.unsqueeze(0))[0]

        every = vmap(grad_and_value(loss_of_one), in_dims=(None, 0, 0), randomness="different")
        gradients, losses = every(trained, images, targets)
        return list(gradients.values()), losses


class LoopGradients(RecordGradients):
    """A forward and a backward pass for each record."""

    def per_record(self, images: torch.Tensor, targets: torch.Tensor) -> PerRecord:
        """Return every record's gradient and loss."""
        trained = [p for p in self.network.parameters() if p.requires_grad]
        rows, losses = [], []
        for image, target in zip(images.split(1), targets.split(1), strict=True):
            loss = self.loss(output_of(self.network(image)), target)[0]
            rows.append(torch.autograd.grad(loss, trained))
            losses.append(loss.detach())
        if len(rows) == 1:
            return [row.unsqueeze(0) for row in rows[0]], torch.stack(losses)
        return [torch.stack(row) for row in zip(*rows, strict=True)], torch.stack(losses)


class GhostGradients:
    """Opacus' fast gradient clipping."""

    # Its norms are in float32; the optimizer's margin ROUNDING covers their error.

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        register_samplers()
        self.network, self.loss = network, loss
        self._trained = [p for p in network.parameters() if p.requires_grad]
        self._hooks = _attach(network)

    def add(self, optimizer: PrivateOptimizer, images: torch.Tensor, targets: torch.Tensor) -> None:
        """Clip every record's gradient and add it, and its loss, to the optimizer's sums."""
        losses, norms = self.norms(images, targets)
        released = losses.detach().clone()
        # A clip factor of 0 would not remove a NaN (0 · NaN is NaN), so such records are left out.
        if not bool(norms.isfinite().all()):
            kept = norms.isfinite()
            if not kept.any():
                optimizer.accumulate_clipped([torch.zeros_like(p) for p in self._trained], released)
                return
            losses, norms = self.norms(images[kept], targets[kept])
        factors = optimizer.clip_factors(norms.cpu()).to(losses)
        self._hooks.disable_hooks()  # this pass makes the sum; they would collect norms again
        sums = torch.autograd.grad((factors * losses).sum(), self._trained)
        self._hooks.enable_hooks()
        optimizer.accumulate_clipped(list(sums), released)

    def norms(
        self, images: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the losses (B,), with their graph, and the norms of their gradients (B,)."""
        losses = self.loss(_output_with_gradient(self.network, images), targets)
        losses.sum().backward(retain_graph=True)
        _forget_gradients(self._trained)
        return losses, self._hooks.get_norm_sample()

    def close(self) -> None:
        """Leave the network as it was."""
        self._hooks.cleanup()


MODES: dict[Mode, Callable[[nn.Module, Loss], Gradients]] = {
    "vmap": VmapGradients,
    "loop": LoopGradients,
    "ghost": GhostGradients,
}


def _attach(network: nn.Module) -> Any:
    """Attach Opacus' hooks; raise :class:`PrivacyError` if they do not support a layer."""
    try:
        return prepare_module(network, "ghost", wrap_model=False, loss_reduction="sum")
    except NotImplementedError as error:
        raise PrivacyError(
            f"a layer of {type(network).__name__} that Opacus' hooks do not support ({error})",
            'layers without buffers for gradients = "ghost"',
            'set privacy.gradients = "auto"',
            PrivacyError.GRADIENTS,
        ) from error


def _output_with_gradient(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return the network's outputs."""
    # PyTorch warns of backward hooks whose inputs need no gradient.
    return output_of(network(images.detach().requires_grad_()))


def _forget_gradients(parameters: list[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = None
