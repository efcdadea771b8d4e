"""The Gaussian mechanism of DP-SGD (Abadi et al., CCS 2016), with the loss as one more coordinate.

A record with gradient g and loss ℓ contributes (clip_C(g), (aC/Λ)·min(ℓ, Λ)), a vector of norm at
most C·√(1 + a²). Noise N(0, σ²C²(1 + a²)) on every coordinate makes the sum one release with noise
multiplier σ. So the loss costs no ε of its own, but a factor √(1 + a²) of noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from opacus.optimizers import DPOptimizer

from clients.privacy.gaussian import release
from clients.privacy.noise import Randomness

# Gradients are clipped to C / 1.001: a float32 norm of millions of numbers can be 0.06 % too small,
# and a contribution must never be larger than C.
ROUNDING = 1.001

CHUNK = 2**16  # numbers in a partial norm; see record_norms


class PrivateOptimizer(DPOptimizer):  # type: ignore[misc]
    """An Opacus optimizer that also releases the sum of the clipped losses.

    In every step, call ``accumulate`` (or ``accumulate_clipped``) once for each physical batch, not
    at all for an empty batch, and then ``step`` once.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        noise_multiplier: float,
        clip: float,
        expected_batch_size: int,
        loss_bound: float,
        loss_share: float,
        randomness: Randomness,
    ) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=noise_multiplier,
            max_grad_norm=clip,
            expected_batch_size=expected_batch_size,
        )
        self.loss_bound, self.loss_scale = loss_bound, loss_share * clip / loss_bound
        self.deviation = noise_multiplier * clip * math.sqrt(1 + loss_share**2)
        self.randomness = randomness
        self.steps = 0
        self._noisy_losses = torch.zeros((), dtype=torch.float64)
        self._loss = torch.zeros((), dtype=torch.float64)

    @property
    def accumulated_iterations(self) -> int:
        """Return 1, the only value that fits here."""
        # Opacus would divide the sum by it too. The expected batch size is the whole divisor.
        return 1

    @property
    def noisy_loss(self) -> float:
        """Return an unbiased estimate of the mean clipped loss over all steps so far."""
        records = self.steps * self.expected_batch_size
        return float(self._noisy_losses / (records * self.loss_scale))

    def clip_factors(self, norms: torch.Tensor) -> torch.Tensor:
        """Return the factor for each record's gradient (B,), float64; 0 if it is not finite."""
        factors = (self.max_grad_norm / ROUNDING / norms.double()).clamp(max=1.0)
        return torch.where(norms.isfinite(), factors, torch.zeros_like(factors))

    def accumulate(self, gradients: Sequence[torch.Tensor], losses: torch.Tensor) -> None:
        """Clip and add the gradients (B, *parameter shape), in the order of ``params``."""
        norms = record_norms(gradients)
        factors = self.clip_factors(norms)
        broken = ~norms.isfinite()
        if broken.any():  # a factor of 0 would not do, as 0 · NaN is NaN
            gradients = [
                torch.where(broken.view(-1, *[1] * (g.ndim - 1)).to(g.device), g.new_zeros(()), g)
                for g in gradients
            ]
        for parameter, each in zip(self.params, gradients, strict=True):
            if parameter.summed_grad is None:
                parameter.summed_grad = torch.zeros_like(parameter)
            _add_weighted(parameter.summed_grad, each, factors)
        self._add_losses(losses)

    def accumulate_clipped(self, sums: Sequence[torch.Tensor], losses: torch.Tensor) -> None:
        """Add sums of gradients that are clipped already, and the losses (B,)."""
        for parameter, clipped in zip(self.params, sums, strict=True):
            if parameter.summed_grad is None:
                parameter.summed_grad = clipped
            else:
                parameter.summed_grad += clipped
        self._add_losses(losses)

    def _add_losses(self, losses: torch.Tensor) -> None:
        # NaN passes every clamp; a loss that is NaN counts as the largest one.
        finite = losses.detach().cpu().double().nan_to_num(nan=self.loss_bound)
        clipped = finite.clamp(0.0, self.loss_bound) * self.loss_scale
        self._loss += clipped.sum()

    def pre_step(self, closure: object = None) -> bool:
        """Add noise to the sums, also to those of an empty batch, and average."""
        # A step without noise would reveal that no record was drawn.
        self.add_noise()
        self.scale_grad()
        if self.step_hook:
            self.step_hook(self)
        return True

    def add_noise(self) -> None:
        """Put sum + noise into ``grad`` and forget the sums."""
        for parameter in self.params:
            # Forgotten at once: released twice, with two noises, it would cost twice as much.
            summed, parameter.summed_grad = parameter.summed_grad, None
            exact = torch.zeros_like(parameter) if summed is None else summed
            parameter.grad = release(exact, self.deviation, self.randomness).to(parameter)
        self._noisy_losses += release(self._loss, self.deviation, self.randomness)
        self._loss.zero_()
        self.steps += 1

    def close(self) -> None:
        """Remove gradients and sums from the parameters."""
        for parameter in self.params:
            parameter.grad = None
            for name in ("summed_grad", "grad_sample"):
                if hasattr(parameter, name):
                    delattr(parameter, name)


def _add_weighted(total: torch.Tensor, gradients: torch.Tensor, factors: torch.Tensor) -> None:
    """Add Σ factor · gradient to ``total``, for gradients (B, *shape) and factors (B,)."""
    # Fused operations: scaled copies of the gradients would double the memory.
    if len(gradients) == 1:
        total.add_(gradients[0], alpha=float(factors[0]))
    else:
        total.view(-1).addmv_(gradients.flatten(1).t(), factors.to(total))


def record_norms(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the Euclidean norm over all parameters for each record: (B,), float64, on the CPU."""
    # float32 sums of millions of numbers come out too small on a CPU, so partial norms of at most
    # 65 536 numbers are added in float64.
    parts = []
    for gradient in gradients:
        flat = gradient.flatten(1)
        whole = flat.device.type != "cpu"
        for part in [flat] if whole else flat.split(CHUNK, dim=1):
            parts.append(torch.linalg.vector_norm(part, dim=1))
    return torch.stack(parts).cpu().double().square().sum(0).sqrt()
