"""Attack one vendor's own training with shadow models, with differential privacy and without.

The attack has an easier target than any model of a federation: this vendor alone trains each model,
on half of its records, by default for as many steps as it trains as a client in the whole run.
Nothing leaves the site and no ε is spent, as the models are thrown away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from clients.data.records import Records
from clients.data.sources import load_vendor_data
from clients.device import choose_device
from clients.evaluation import predictions
from clients.networks.build import initial_network
from clients.privacy.accounting.accounting import epsilon
from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.accounting.planning import Schedule, plan
from clients.privacy.audit.membership import (
    Advantage,
    Members,
    Numbers,
    advantage,
    draw_halves,
    likelihood_ratios,
)
from clients.privacy.training.training import train_privately
from clients.seeds import derive_seed
from clients.tasks.registry import task_of
from clients.training import Work, train
from srflm_flower.federation.federation import Federation
from strategies.errors import ConfigurationError

FEWEST_RECORDS = 40  # each shadow model trains on half of them


@dataclass(frozen=True)
class Shadows:
    """The shadow models to train at ``vendor``, each for ``steps`` steps.

    ``steps`` None means as many steps as a client takes in the whole run.
    """

    vendor: str
    models: int = 8
    steps: int | None = None


@dataclass(frozen=True)
class Attacked:
    """The success of an attack; ``epsilon`` is None if training was not private.

    ``score`` is the models' mean ``task.released`` on the records on which they were not trained.
    """

    epsilon: float | None
    steps: int
    attack: Advantage
    score: float
    seconds: float


Training = Callable[[nn.Module, Records, int], None]
"""(network, data, number of the model) trains the network in place."""


def attack_training(
    federation: Federation, shadows: Shadows, target: float | None, rng: np.random.Generator
) -> Attacked:
    """Train the models at ε = ``target``, or without privacy if it is None, and attack them.

    Network, data, clipping, batch, and learning rate are the federation's.  Raises
    :class:`ConfigurationError` for too few records, and the errors of loading and training.
    """
    started = time.monotonic()
    data = load_vendor_data(federation.data_plan(), shadows.vendor).train
    if len(data) < FEWEST_RECORDS:
        raise ConfigurationError(
            f"{len(data)} training records of {shadows.vendor!r}",
            f"at least {FEWEST_RECORDS}, of which each model gets half",
            "name another vendor with --vendor",
        )
    steps = shadows.steps or federation.run.rounds * federation.privacy.client_steps
    # A model trains on half of the records; half of these at most go into a batch.
    batch = min(federation.privacy.batch_size, len(data) // 4)
    spent: float | None = None
    training = _plainly(federation, batch, steps)
    if target is not None:
        mechanism = _mechanism(federation, len(data) // 2, batch, steps, target)
        spent = epsilon([mechanism], federation.privacy.delta)
        training = _privately(federation, batch, mechanism)
    halves = draw_halves(shadows.models, len(data), rng)
    confidence, shares = _confidences(federation, data, halves, training)
    ratios = likelihood_ratios(confidence, halves)
    low, high = federation.task.metrics[federation.task.released].bound
    return Attacked(
        spent,
        steps,
        advantage(ratios, halves),
        low + (high - low) * float(shares[~halves].mean()),  # of records not trained on
        time.monotonic() - started,
    )


def _mechanism(
    federation: Federation, size: int, batch: int, steps: int, target: float
) -> Mechanism:
    schedule = Schedule(size, batch, steps, 1, rounds=1, server_rounds=0)
    planned = plan(schedule, target, federation.privacy.delta)
    return Mechanism(planned.client_noise, schedule.sample_rate, steps)


def _privately(federation: Federation, batch: int, mechanism: Mechanism) -> Training:
    # The attack tests single records, whichever unit the federation protects.
    settings = federation.privacy.model_copy(update={"unit": "record", "batch_size": batch})
    device, loss = choose_device(federation.run.device), task_of(federation.task).loss

    def run(network: nn.Module, data: Records, _number: int) -> None:
        rate = federation.training.learning_rate
        train_privately(
            network, data, mechanism, settings, federation.training, rate, device, loss=loss
        )

    return run


def _plainly(federation: Federation, batch: int, steps: int) -> Training:
    settings = federation.training.model_copy(update={"batch_size": batch})
    device, loss = choose_device(federation.run.device), task_of(federation.task).loss

    def run(network: nn.Module, data: Records, number: int) -> None:
        work = Work(settings.learning_rate, epochs=0, steps=steps)
        seed = derive_seed(federation.seed, "shadow", number)
        train(network, data, work, settings, seed, device, half_precision=False, loss=loss)

    return run


def _confidences(
    federation: Federation, data: Records, halves: Members, training: Training
) -> tuple[Numbers, Numbers]:
    """Return confidence in each record, and its share of the score: both (models, records)."""
    confidence, shares = np.zeros(halves.shape), np.zeros(halves.shape)
    # One network for both kinds of training, so that the attacks compare.
    model = federation.model.model_copy(update={"dp_ready": True})
    device, task = choose_device(federation.run.device), task_of(federation.task)
    for number, half in enumerate(halves):
        network = initial_network(model, federation.task, federation.seed, federation.image_shape)
        chosen = torch.from_numpy(np.flatnonzero(half))
        training(network, data.at(chosen), number)
        found = list(predictions(network, data, device))
        each = [task.confidence(outputs, cases.targets) for outputs, cases in found]
        scores = [task.shares(task.scores(outputs, cases, False)) for outputs, cases in found]
        confidence[number], shares[number] = torch.cat(each).numpy(), torch.cat(scores).numpy()
    return confidence, shares
