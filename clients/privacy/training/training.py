"""Private local training in both roles: DP-SGD (Abadi et al., CCS 2016) with Poisson sampling."""

# There are no checkpoints here: they would hold gradients before noise, or a generator's state.
# Interrupted work starts from the beginning with fresh noise, as another release; the reservation
# of the first one stays spent.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from clients.data.records import Records
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.gradients.gradients import MODES, GhostGradients, Gradients, RecordGradients
from clients.privacy.gradients.guard import check_dp_ready
from clients.privacy.gradients.losses import check_no_coupling, make_targets, per_record
from clients.privacy.gradients.mode import choose_mode, records_at_once
from clients.privacy.gradients.networks import last_layers, make_probe, output_of
from clients.privacy.gradients.optimizer import PrivateOptimizer
from clients.privacy.noise import Randomness, private_randomness
from clients.privacy.settings import PrivacySettings
from clients.privacy.training.augmentation import augment
from clients.privacy.training.sampling import poisson_batches
from clients.privacy.training.units import Units, make_units
from clients.settings import TrainingSettings
from clients.tasks.losses import Loss, cross_entropy
from clients.training import make_optimizer
from strategies.errors import PrivacyError, TrainingDiverged


@dataclass(frozen=True)
class PrivateOutcome:
    """``loss`` is a noisy estimate of the mean loss over the steps, each record's clipped at Λ."""

    loss: float
    steps: int


def train_privately(
    network: nn.Module,
    data: Records,
    mechanism: Mechanism,
    settings: PrivacySettings,
    training: TrainingSettings,
    learning_rate: float,
    device: torch.device,
    *,
    loss: Loss = cross_entropy,
    groups: torch.Tensor | None = None,
    proximal: float = 0.0,
    randomness: Randomness | None = None,
) -> PrivateOutcome:
    """Train ``network`` in place by the steps of ``mechanism``; return a private loss.

    ``groups`` (n,) is each record's patient: if given, patients are drawn and protected instead of
    records. ``proximal`` is FedProx's μ. ``randomness`` is this process' own unless a test passes
    another. Raises :class:`PrivacyError` before any training, and :class:`TrainingDiverged` if a
    weight is not finite at the end.
    """
    randomness = randomness or private_randomness()
    network.to(device).train()
    data = data.on(device)
    units = make_units(len(data), groups, settings.copies)
    blank = data.empty()
    with _own_seed(randomness, device), _last_layers_only(network, blank[0], settings):
        gradients, most = _prepare(network, *blank, units, settings, loss)
        optimizer = PrivateOptimizer(
            make_optimizer(network, training, learning_rate),
            noise_multiplier=mechanism.noise_multiplier,
            clip=settings.clip,
            # The divisor of gradients and loss, whatever was drawn: the true batch is private. If
            # the public size is not the true one, the loss is off by their ratio.
            expected_batch_size=settings.batch_size,
            loss_bound=settings.loss_bound,
            loss_share=settings.loss_share,
            randomness=randomness,
        )
        if proximal:
            _pull_back(optimizer, proximal)
        try:
            for drawn in poisson_batches(len(units), mechanism, randomness):
                private_step(gradients, optimizer, data, units, drawn.tolist(), most)
        finally:
            gradients.close()
            optimizer.close()
    _check_finite(network, mechanism.steps)
    return PrivateOutcome(optimizer.noisy_loss, mechanism.steps)


def _prepare(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    units: Units,
    settings: PrivacySettings,
    loss: Loss,
) -> tuple[Gradients, int]:
    """Check network and loss on made-up data; return the gradients and how many records at once.

    Raises :class:`PrivacyError`.
    """
    probe = make_probe(tuple(images.shape[1:]), images.device)
    check_dp_ready(network, probe)
    with torch.no_grad():
        outputs = output_of(network(probe))
    made_up = make_targets(outputs, targets)
    check_no_coupling(loss, outputs, made_up)
    mode = choose_mode(settings.gradients, network, probe, made_up, loss)
    # Ghost clipping never holds single gradients, so it cannot average several before clipping.
    if mode == "ghost" and not units.single:
        raise PrivacyError(
            'gradients = "ghost" with several images a patient or copies of an image',
            "a way that shows the gradients before they are clipped",
            'set privacy.gradients = "auto"',
            PrivacyError.GRADIENTS,
        )
    most = settings.physical_batch
    if mode == "vmap":
        most = records_at_once(network, most, images.device, vectors=images.ndim == 2)
    return MODES[mode](network, per_record(loss)), 1 if mode == "loop" else most


def private_step(
    gradients: Gradients,
    optimizer: PrivateOptimizer,
    data: Records,
    units: Units,
    drawn: Sequence[int],
    most: int,
) -> None:
    """Do one step with the drawn units, ``most`` images at a time.

    If no unit was drawn, the step is noise alone, and counts.
    """
    for pack in units.packs(drawn, most):
        _add_pack(gradients, optimizer, data, units, pack, most)
    optimizer.step()


def _add_pack(
    gradients: Gradients,
    optimizer: PrivateOptimizer,
    data: Records,
    units: Units,
    pack: list[int],
    most: int,
) -> None:
    """Average each unit's gradients over its views, ``most`` at a time; clip and add the means."""
    # The mean first, then one clip: a patient's whole contribution is bounded, not each image's.
    views = [units.views(unit) for unit in pack]
    records = torch.cat(views)
    if units.single or isinstance(gradients, GhostGradients):
        gradients.add(optimizer, *data.batch(records, _patch_seed(data)))
        return
    assert isinstance(gradients, RecordGradients)
    device = optimizer.params[0].device
    sizes = torch.tensor([len(each) for each in views], device=device)
    owners = torch.arange(len(pack), device=device).repeat_interleave(sizes)
    means = [p.new_zeros((len(pack), *p.shape)) for p in optimizer.params]
    losses = torch.zeros(len(pack), device=device)
    for part, owner in zip(records.split(most), owners.split(most), strict=True):
        chosen = data.batch(part, _patch_seed(data))
        if units.copies > 1:
            chosen = augment(*chosen)
        rows, each = gradients.per_record(*chosen)
        shares = 1 / sizes[owner]
        for mean, row in zip(means, rows, strict=True):
            mean.index_add_(0, owner, row * shares.view(-1, *[1] * (row.ndim - 1)))
        losses.index_add_(0, owner, each * shares)
    optimizer.accumulate(means, losses)


def _patch_seed(data: Records) -> int:
    """Return a seed for the places of patches, from the state that :func:`_own_seed` has begun."""
    # No part of the mechanism: whichever patch is drawn, its record's gradient is clipped alike.
    return 0 if data.patch is None else int(torch.randint(2**62, ()))


def _pull_back(optimizer: PrivateOptimizer, proximal: float) -> None:
    """Add FedProx's μ(w − w₀) to every step's gradient."""
    # After the noise and unclipped: the term depends on released weights only, not on records.
    anchor = [p.detach().clone() for p in optimizer.params]

    def add(_optimizer: object) -> None:
        for parameter, start in zip(optimizer.params, anchor, strict=True):
            parameter.grad.add_(parameter.detach() - start, alpha=proximal)

    optimizer.attach_step_hook(add)


@contextmanager
def _last_layers_only(
    network: nn.Module, images: torch.Tensor, settings: PrivacySettings
) -> Iterator[None]:
    """Freeze all but the last layers inside the block, if the settings say so."""
    if settings.trainable_layers is None:
        yield
        return
    probe = make_probe(tuple(images.shape[1:]), images.device)
    kept = {id(p) for p in last_layers(network, probe, settings.trainable_layers)}
    frozen = [p for p in network.parameters() if p.requires_grad and id(p) not in kept]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


@contextmanager
def _own_seed(randomness: Randomness, device: torch.device) -> Iterator[None]:
    """Seed dropout and augmentation from ``randomness`` inside the block only."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(float(randomness.uniform(1)) * 2**53))
        yield


def _check_finite(network: nn.Module, steps: int) -> None:
    if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
        raise TrainingDiverged(
            f"weights that are not finite after {steps} private steps",
            "finite numbers",
            "lower training.learning-rate, or privacy.clip",
        )
