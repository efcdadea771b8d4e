"""Train a network on a vendor's own data, as client or as server, without privacy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from clients.data.records import Records
from clients.device import mixed_precision
from clients.files.checkpoint import Checkpoint
from clients.guidance import PLAIN, Guidance
from clients.preparation.augmentation import Augment
from clients.seeds import derive_seed
from clients.settings import TrainingSettings
from clients.tasks.losses import Loss, cross_entropy
from strategies.errors import TrainingDiverged


@dataclass(frozen=True)
class Work:
    """One piece of training: ``steps`` gradient steps, or ``epochs`` epochs if ``steps`` is None.

    ``proximal`` is FedProx's μ (Li et al., MLSys 2020): the loss gets the extra term
    μ/2·‖w − w₀‖², where w₀ are the weights at the start, or the anchor of ``guidance``.
    """

    learning_rate: float
    epochs: int
    steps: int | None = None
    proximal: float = 0.0
    guidance: Guidance = PLAIN

    def gradient_steps(self, examples: int, batch_size: int) -> int:
        """Return the number of gradient steps for ``examples`` training examples."""
        return self.steps if self.steps is not None else self.epochs * batches(examples, batch_size)


def batches(examples: int, batch_size: int) -> int:
    """Return the number of mini-batches in an epoch, without a last batch of one example."""
    # Batch normalisation is undefined for a single example.
    whole, rest = divmod(examples, batch_size)
    return whole + (1 if rest > 1 or whole == 0 else 0)


def batch_indices(
    examples: int, batch_size: int, steps: int, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield the example indices of ``steps`` mini-batches; every epoch has its own order."""
    done = 0
    while done < steps:
        order = torch.randperm(examples, generator=generator)
        for batch in range(min(batches(examples, batch_size), steps - done)):
            yield order[batch * batch_size : (batch + 1) * batch_size]
            done += 1


def make_optimizer(
    network: nn.Module, settings: TrainingSettings, lr: float
) -> torch.optim.Optimizer:
    """Return a new optimizer for the trainable parameters of ``network``."""
    # No state is carried from round to round, so a restart between rounds changes nothing.
    parameters = [p for p in network.parameters() if p.requires_grad]
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(
                parameters, lr, momentum=settings.momentum, weight_decay=settings.weight_decay
            )
        case "adam":
            return torch.optim.Adam(parameters, lr, weight_decay=settings.weight_decay)
        case "adamw":
            return torch.optim.AdamW(parameters, lr, weight_decay=settings.weight_decay)


def train(
    network: nn.Module,
    data: Records,
    work: Work,
    settings: TrainingSettings,
    seed: int,
    device: torch.device,
    half_precision: bool = True,
    checkpoint: Checkpoint | None = None,
    loss: Loss = cross_entropy,
    augment: Augment | None = None,
) -> float:
    """Train ``network`` in place; return the mean loss over all examples seen.

    ``loss`` gives one number for each record; a step descends their mean.

    The order of the examples, the network's own randomness, and the changes of images by
    ``augment`` depend on ``seed`` only. With a ``checkpoint``, training continues after the last
    epoch stored in it. Raises :class:`TrainingDiverged` if the loss or a weight is not finite at
    the end.
    """
    generator = torch.Generator().manual_seed(seed)
    network.to(device).train()
    progress = _Progress(torch.zeros((), device=device))
    an_epoch = batches(len(data), settings.batch_size)
    steps = work.gradient_steps(len(data), settings.batch_size)
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with forked, work.guidance.resting(network):
        torch.manual_seed(seed)
        optimizer = make_optimizer(network, settings, work.learning_rate)
        anchor = work.guidance.anchor_of(network) if work.proximal else []
        corrections = work.guidance.corrections(network)
        if checkpoint is not None:
            progress.resume(checkpoint, network, optimizer, device)
        order = batch_indices(len(data), settings.batch_size, steps, generator)
        # The batches before the checkpoint are drawn too, and skipped: the rest stay the same.
        asked = islice(enumerate(order), progress.steps, None)
        seeded = ((rows, derive_seed(seed, "patch", step)) for step, rows in asked)
        for inputs, wanted in data.on(device).batches(seeded):
            if augment is not None:
                drawn = derive_seed(seed, "augment", progress.steps)
                inputs, wanted = augment(inputs, wanted, drawn)
            with mixed_precision(device, half_precision):
                mean = loss(network(inputs), wanted).mean()
            # The reported loss, which the election compares, is without FedProx's term.
            progress.note(mean.detach(), len(inputs))
            if anchor:
                mean = mean + work.proximal / 2 * _squared_distance(network, anchor)
            optimizer.zero_grad(set_to_none=True)
            mean.backward()
            for parameter, correction in corrections:
                if parameter.grad is not None:
                    parameter.grad.add_(correction)
            optimizer.step()
            if checkpoint is not None and progress.steps % an_epoch == 0:
                progress.keep(checkpoint, network, optimizer, device)
    mean_loss = float(progress.total) / max(progress.seen, 1)
    if not math.isfinite(mean_loss) or not _all_finite(network):
        raise TrainingDiverged(
            f"a loss of {mean_loss} or weights that are not finite after {steps} steps",
            "finite numbers",
            "lower training.learning-rate, or look for damaged images",
        )
    return mean_loss


@dataclass
class _Progress:
    """The sum of losses over the examples seen, their number, and the steps done."""

    total: torch.Tensor  # on the device: a Python float would wait for the GPU in every step
    seen: int = 0
    steps: int = 0

    def note(self, loss: torch.Tensor, examples: int) -> None:
        self.total += loss * examples
        self.seen += examples
        self.steps += 1

    def keep(
        self,
        checkpoint: Checkpoint,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        device: torch.device,
    ) -> None:
        # With the generators' states, dropout continues as if there had been no interruption.
        checkpoint.keep(
            {
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "random": torch.get_rng_state(),
                "random-device": _device_random(device),
                "total": self.total,
                "seen": self.seen,
                "steps": self.steps,
            }
        )

    def resume(
        self,
        checkpoint: Checkpoint,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        device: torch.device,
    ) -> None:
        kept = checkpoint.load(device)
        if kept is None:
            return
        network.load_state_dict(kept["network"])
        optimizer.load_state_dict(kept["optimizer"])
        torch.set_rng_state(kept["random"].cpu())
        if device.type == "cuda":
            torch.cuda.set_rng_state(kept["random-device"].cpu(), device)
        self.total, self.seen, self.steps = kept["total"], kept["seen"], kept["steps"]


def _device_random(device: torch.device) -> torch.Tensor:
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.zeros(0, dtype=torch.uint8)


def _squared_distance(network: nn.Module, anchor: list[torch.Tensor]) -> torch.Tensor:
    pairs = zip(network.parameters(), anchor, strict=True)
    return torch.stack([(now - then).square().sum() for now, then in pairs]).sum()


def _all_finite(network: nn.Module) -> bool:
    return all(
        bool(tensor.isfinite().all())
        for tensor in network.state_dict().values()
        if tensor.is_floating_point()
    )
