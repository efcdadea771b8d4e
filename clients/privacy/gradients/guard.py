"""Refuse private training of a network whose outputs depend on more than their own record."""

# Opacus' validator accepts batch normalisation without parameters, or frozen, although it breaks
# the guarantee. So networks are checked by their behaviour as well as by their layers.

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from clients.privacy.gradients.networks import BATCH_NORMS, output_of
from strategies.errors import PrivacyError

# Relative. Rounding differs with the batch size; an influence of other records is far larger.
TOLERANCE = 1e-3

MEND = "prepare it with clients.privacy.gradients.networks.make_dp_ready, or take another network"


def check_dp_ready(network: nn.Module, probe: torch.Tensor) -> None:
    """Raise :class:`PrivacyError`, with the layer and a way to mend it, unless DP-SGD may train it.

    ``probe`` is a batch (2 or more, channels, *space) of made-up images. The check refuses batch
    norm of any kind, running statistics, modules registered twice, buffers that change in
    training, and outputs that change with the other records of the batch.
    """
    if len(probe) < 2:
        raise ValueError("expected a probe of at least two records")
    _check_layers(network)
    _check_registrations(network)
    with _left_as_found(network, probe.device):
        _check_buffers(network, probe)
        _check_other_records(network, probe)


def _check_layers(network: nn.Module) -> None:
    for name, layer in network.named_modules():
        kind = type(layer).__name__
        if isinstance(layer, BATCH_NORMS):
            raise _refusal(
                f"layer {name!r} ({kind}), which mixes the records of a batch",
                "no batch normalisation, neither without parameters nor frozen",
                "put group normalisation in its place:"
                " clients.privacy.gradients.networks.make_dp_ready",
            )
        if getattr(layer, "track_running_stats", False):
            raise _refusal(
                f"layer {name!r} ({kind}), which keeps statistics of the records",
                "no running statistics",
                "build it with track_running_stats=False, or use make_dp_ready",
            )


def _check_registrations(network: nn.Module) -> None:
    paths = Counter(id(m) for _, m in network.named_modules(remove_duplicate=False))
    for name, layer in network.named_modules():
        if paths[id(layer)] > 1 and any(p.requires_grad for p in layer.parameters()):
            raise _refusal(
                f"layer {name!r} ({type(layer).__name__}), registered under two names",
                "every trained layer registered once",
                "delete the second name, as make_dp_ready does for DynUNet",
            )


def _check_buffers(network: nn.Module, probe: torch.Tensor) -> None:
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network.train()
    with torch.no_grad():
        # Shifted and scaled, so that running statistics would change clearly.
        network(probe * 3 + 1)
    for name, buffer in network.named_buffers():
        if not torch.equal(buffer, before[name]):
            raise _refusal(
                f"buffer {name!r}, which changes with the records it sees",
                "buffers that training leaves alone",
                MEND,
            )


def _check_other_records(network: nn.Module, probe: torch.Tensor) -> None:
    """Compare record 0's output with other companions, and alone."""
    # The first comparison has dropout, with the same draws both times. The second is without: the
    # draws would differ with the batch size.
    others_changed = probe.clone()
    others_changed[1:] = others_changed[1:].flip(-1) * -7 + 2
    with torch.no_grad():
        network.train()
        torch.manual_seed(0)
        with_others = output_of(network(probe))[:1]
        torch.manual_seed(0)
        with_different = output_of(network(others_changed))[:1]
        network.eval()
        in_company = output_of(network(probe))[:1]
        alone = output_of(network(probe[:1]))
    for one, other, how in (
        (with_others, with_different, "when other records of the batch change"),
        (in_company, alone, "when the other records of the batch are left out"),
    ):
        if not _close(one, other):
            raise _refusal(
                f"an output of {type(network).__name__} that changes {how}",
                "an output that depends on its own record only",
                MEND,
            )


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    scale = float(one.abs().max()) + 1e-12
    return bool(one.isfinite().all()) and float((one - other).abs().max()) <= TOLERANCE * scale


def _refusal(found: str, expected: str, mend: str) -> PrivacyError:
    return PrivacyError(found, expected, mend, PrivacyError.NETWORK)


@contextmanager
def _left_as_found(network: nn.Module, device: torch.device) -> Iterator[None]:
    training = network.training
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        network.train(training)
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                buffer.copy_(buffers[name])
