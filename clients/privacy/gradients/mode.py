"""Choose how a network's per-record gradients are computed, and check it against the plain loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from clients.privacy.gradients.gradients import (
    MODES,
    GhostGradients,
    LoopGradients,
    Mode,
    RecordGradients,
)
from clients.privacy.gradients.optimizer import record_norms
from clients.privacy.settings import GradientMode
from clients.tasks.losses import Loss
from strategies.errors import PrivacyError

# Relative. In float32, values at the kinks of ReLU and max-pooling may fall to the other side.
TOLERANCE = 1e-2

# Bytes for the per-record gradients of a physical batch on a CPU.
GRADIENT_MEMORY = 2**29

# Bytes of one record's gradient above which the loop is faster on a CPU, and needs far less memory.
LARGE = 2**25

# More records at once are slower on a CPU: they no longer fit its caches.
CPU_BATCH = 16

# On a GPU the gradients may take a quarter of the free memory.
GPU_SHARE = 4


def choose_mode(
    wanted: GradientMode,
    network: nn.Module,
    probe: torch.Tensor,
    targets: torch.Tensor,
    loss: Loss,
) -> Mode:
    """Return the mode to use; ``auto`` is ``vmap`` if it works and is faster, else ``loop``.

    ``probe`` and ``targets`` are made up, two records or more. Raises :class:`PrivacyError` if the
    mode in ``wanted`` gives other gradients than the loop.
    """
    if wanted != "auto":
        check_mode(wanted, network, probe, targets, loss)
        return wanted
    if probe.device.type == "cpu" and _gradient_size(network) >= LARGE:
        return "loop"
    try:
        check_mode("vmap", network, probe, targets, loss)
    except (PrivacyError, RuntimeError, NotImplementedError):
        return "loop"  # PyTorch cannot vectorise an operator of this network
    return "vmap"


def records_at_once(
    network: nn.Module, most: int, device: torch.device, vectors: bool = False
) -> int:
    """Return how many records' gradients fit into memory, from 1 to ``most``.

    Records that are ``vectors`` have hardly any activations, so that more at once are faster.
    """
    if device.type == "cuda":
        memory = torch.cuda.mem_get_info(device)[0] // GPU_SHARE
    else:
        memory = GRADIENT_MEMORY
        most = most if vectors else min(most, CPU_BATCH)
    return max(1, min(most, memory // max(_gradient_size(network), 1)))


def _gradient_size(network: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)


def check_mode(
    mode: Mode, network: nn.Module, probe: torch.Tensor, targets: torch.Tensor, loss: Loss
) -> None:
    """Raise :class:`PrivacyError` unless ``mode`` gives the gradients of the per-record loop.

    For ``ghost``, which never holds whole gradients, the norms are compared.
    """
    if mode == "loop":
        return
    with _nothing_random(network):
        expected, _ = LoopGradients(network, loss).per_record(probe, targets)
        gradients = MODES[mode](network, loss)
        try:
            error = _difference(gradients, expected, probe, targets)
        finally:
            gradients.close()
    if not error <= TOLERANCE:  # written so that NaN fails too
        raise PrivacyError(
            f'per-record gradients of {type(network).__name__} by "{mode}" that differ by'
            f" {error:.1%} from those of one record at a time",
            "the same gradients",
            'set privacy.gradients = "auto"',
            PrivacyError.GRADIENTS,
        )


def _difference(
    gradients: object, expected: list[torch.Tensor], probe: torch.Tensor, targets: torch.Tensor
) -> float:
    norms = record_norms(expected)
    if isinstance(gradients, GhostGradients):
        _, found = gradients.norms(probe, targets)
        return float(((found - norms).abs() / norms).max())
    assert isinstance(gradients, RecordGradients)
    rows, _ = gradients.per_record(probe, targets)
    difference = record_norms([a - b for a, b in zip(rows, expected, strict=True)])
    return float((difference / norms).max())


@contextmanager
def _nothing_random(network: nn.Module) -> Iterator[None]:
    """Take all layers without parameters out of training mode, dropout above all."""
    # Dropout would differ between the two computations. Layers with parameters stay in training
    # mode, because Opacus' hooks ignore layers in evaluation mode.
    modes = {module: module.training for module in network.modules()}
    for module in modes:
        module.training = any(True for _ in module.parameters(recurse=False))
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
