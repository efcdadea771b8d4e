"""Builds with a fault in their privacy, as patches of the real one: for the audit to catch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch

from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.gradients.optimizer import PrivateOptimizer
from clients.privacy.ledger.spending import Spender
from srflm_flower.site.own_data import own_training
from strategies.settings import Role

Break = Callable[[pytest.MonkeyPatch], None]


def noise_times(factor: float) -> Break:
    """Return a build whose noise is ``factor`` times what it should be."""

    def break_it(patch: pytest.MonkeyPatch) -> None:
        real = PrivateOptimizer.add_noise

        def add_noise(optimizer: PrivateOptimizer) -> None:
            right = optimizer.deviation
            optimizer.deviation = right * factor
            real(optimizer)
            optimizer.deviation = right

        patch.setattr(PrivateOptimizer, "add_noise", add_noise)

    return break_it


def noise_divided_by_batch(patch: pytest.MonkeyPatch) -> None:
    """Build in which noise is added after averaging, of the deviation for the mean twice over."""
    real = PrivateOptimizer.add_noise

    def add_noise(optimizer: PrivateOptimizer) -> None:
        right = optimizer.deviation
        optimizer.deviation = right / optimizer.expected_batch_size
        real(optimizer)
        optimizer.deviation = right

    patch.setattr(PrivateOptimizer, "add_noise", add_noise)


def no_noise_as_client(patch: pytest.MonkeyPatch) -> None:
    """Build that adds noise as the server only, which is known by its smaller deviation."""
    real = PrivateOptimizer.add_noise

    def add_noise(optimizer: PrivateOptimizer) -> None:
        right = optimizer.deviation
        optimizer.deviation = right if right < CLIENT_DEVIATION else 0.0
        real(optimizer)
        optimizer.deviation = right

    patch.setattr(PrivateOptimizer, "add_noise", add_noise)


CLIENT_DEVIATION = 5.0


def no_clipping(patch: pytest.MonkeyPatch) -> None:
    """Build that adds gradients up as they are."""

    def ones(optimizer: PrivateOptimizer, norms: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(norms, dtype=torch.float64)

    patch.setattr(PrivateOptimizer, "clip_factors", ones)


def forgets_the_server_role(patch: pytest.MonkeyPatch) -> None:
    """Build in which fine-tuning as the server is not written into the ledger.

    The records of the terms tell of it, so that it is not looked for there either.
    """
    real = Spender.spending

    @contextmanager
    def spending(spender: Spender, role: Role, term: int, round_number: int) -> Iterator[Mechanism]:
        if role == "server":
            yield spender.mechanisms[role]
            return
        with real(spender, role, term, round_number) as mechanism:
            yield mechanism

    patch.setattr(Spender, "spending", spending)
    patch.setattr(own_training, "check_told", lambda *_: None)


def no_noise_on_the_loss(patch: pytest.MonkeyPatch) -> None:
    """Build that tells the sum of the clipped losses as it is."""
    real = PrivateOptimizer.add_noise

    def add_noise(optimizer: PrivateOptimizer) -> None:
        exact = optimizer._noisy_losses + optimizer._loss
        real(optimizer)
        optimizer._noisy_losses = exact

    patch.setattr(PrivateOptimizer, "add_noise", add_noise)


def same_noise_every_step(patch: pytest.MonkeyPatch) -> None:
    """Build whose generator begins anew with the same seed in every step."""
    from clients.privacy.training import training
    from tests.support.learning.private_training import not_private_randomness

    patch.setattr(training, "private_randomness", lambda: not_private_randomness(7))
