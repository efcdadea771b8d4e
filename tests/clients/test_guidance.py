"""An anchor, a correction of gradients, and frozen layers in the training loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from clients.data.vendor_data import Split
from clients.guidance import PLAIN, Guidance
from clients.networks.build import initial_network
from clients.networks.weights import get_weights, set_weights
from clients.settings import ModelSettings, TrainingSettings
from clients.tasks.settings import ClassificationSettings
from clients.training import Work, train
from strategies.weights import Weights, hash_weights

CPU = torch.device("cpu")
TASK = ClassificationSettings(classes=("dark", "bright"))
SGD = TrainingSettings(batch_size=8, learning_rate=0.05)
NO_MOMENTUM = SGD.model_copy(update={"momentum": 0.0})


def make_data(count: int = 20) -> Split:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    noise = torch.randn(count, 1, 8, 8, generator=generator) * 0.2
    return Split(noise + labels[:, None, None, None] - 0.5, labels)


def network() -> nn.Module:
    return initial_network(ModelSettings(norm="group"), TASK, seed=1)


def trained(
    guidance: Guidance, proximal: float = 0.0, steps: int = 12, settings: TrainingSettings = SGD
) -> Weights:
    model = network()
    train(model, make_data(), Work(0.02, 1, steps, proximal, guidance), settings, 7, CPU)
    return get_weights(model)


def distance(one: Weights, other: Weights) -> float:
    return float(sum(np.square(one[name] - other[name]).sum() for name in one))


def elsewhere() -> Weights:
    return {name: array + 0.1 for name, array in get_weights(network()).items()}


def test_plain_guidance_changes_nothing() -> None:
    model = network()
    train(model, make_data(), Work(0.02, 1, 12), SGD, 7, CPU)
    assert PLAIN.is_plain
    assert hash_weights(trained(PLAIN)) == hash_weights(get_weights(model))


def test_proximal_term_draws_to_the_anchor_and_not_to_the_start() -> None:
    there = Guidance(anchor=elsewhere())
    # With momentum a strong pull would swing beyond the anchor.
    ends = [trained(there, mu, settings=NO_MOMENTUM) for mu in (0.0, 1.0, 10.0)]
    far = [distance(end, elsewhere()) for end in ends]
    assert far[0] > far[1] > far[2]
    to_start = trained(PLAIN, 10.0, settings=NO_MOMENTUM)
    assert far[2] < distance(to_start, elsewhere()) / 10


def test_anchor_at_the_start_is_fedprox() -> None:
    start = get_weights(network())
    assert hash_weights(trained(Guidance(anchor=start), 1.0)) == hash_weights(trained(PLAIN, 1.0))


def test_correction_is_added_to_each_gradient() -> None:
    """One step of plain SGD moves the weights by η·(g + correction)."""
    parameters = [name for name, _ in network().named_parameters()]
    correction: Weights = {
        name: np.full_like(array, 0.5) for name, array in get_weights(network()).items()
    }
    plain = trained(PLAIN, steps=1, settings=NO_MOMENTUM)
    corrected = trained(Guidance(correction=correction), steps=1, settings=NO_MOMENTUM)
    for name in parameters:
        np.testing.assert_allclose(plain[name] - corrected[name], 0.02 * 0.5, atol=1e-6)


def test_frozen_parameters_stay_and_the_others_learn() -> None:
    frozen = frozenset(n for n, _ in network().named_parameters() if n.startswith("features"))
    start, after = get_weights(network()), trained(Guidance(frozen=frozen))
    changed = {name for name in start if (start[name] != after[name]).any()}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_network_trains_all_its_layers_again_after_frozen_work() -> None:
    model = network()
    frozen = frozenset({"classifier.weight"})
    work = Work(0.02, 1, 2, guidance=Guidance(frozen=frozen))
    train(model, make_data(), work, SGD, 7, CPU)
    assert all(parameter.requires_grad for parameter in model.parameters())
    set_weights(model, get_weights(network()))
    train(model, make_data(), Work(0.02, 1, 12), SGD, 7, CPU)
    assert hash_weights(get_weights(model)) == hash_weights(trained(PLAIN))


def test_unknown_names_are_an_error() -> None:
    with pytest.raises(KeyError):
        trained(Guidance(frozen=frozenset({"no.such.layer"})))
