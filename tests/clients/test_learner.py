"""Rules of a vendor that learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import clients.learner
from clients.data.vendor_data import Split, VendorData
from clients.learner import MOST_MEASURED, Learner
from clients.networks.build import initial_network
from clients.networks.weights import get_weights
from clients.preparation.augment_settings import AugmentSettings
from clients.preparation.augmentation import augmentation
from clients.settings import ModelSettings, TrainingSettings
from clients.tasks.registry import task_of
from clients.tasks.settings import ClassificationSettings
from clients.training import Work
from strategies.weights import Weights, hash_weights

TASK = ClassificationSettings(classes=("dark", "bright"))
WORK = Work(learning_rate=0.05, epochs=2)


def make_split(count: int, seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    noise = torch.randn(count, 1, 8, 8, generator=generator) * 0.2
    return Split(noise + labels[:, None, None, None] - 0.5, labels)


def make_learner(vendor: str = "aster", seed: int = 65) -> Learner:
    data = VendorData(make_split(20, 0), make_split(8, 1), make_split(6, 2))
    network = initial_network(ModelSettings(), TASK, 1)
    settings = TrainingSettings(batch_size=8)
    return Learner(vendor, data, network, task_of(TASK), settings, seed, torch.device("cpu"))


@pytest.fixture
def start() -> Weights:
    return get_weights(initial_network(ModelSettings(), TASK, 1))


def test_work_reports_loss_examples_and_steps(start: Weights) -> None:
    trained = make_learner().train(start, WORK, "client", 1)
    assert (trained.examples, trained.steps) == (20, 6)
    assert 0 < trained.loss < 1
    assert hash_weights(trained.weights) != hash_weights(start)


def test_repeated_work_gives_the_same_weights_whatever_came_between(start: Weights) -> None:
    learner = make_learner()
    first = learner.train(start, WORK, "client", 1)
    learner.train(first.weights, WORK, "server", 1)
    learner.evaluate(first.weights, "test")
    again = learner.train(start, WORK, "client", 1)
    fresh = make_learner().train(start, WORK, "client", 1)
    assert hash_weights(first.weights) == hash_weights(again.weights) == hash_weights(fresh.weights)
    assert first.loss == again.loss == fresh.loss


def test_training_is_augmented_and_evaluation_is_not(start: Weights) -> None:
    plain = make_learner()
    augment = augmentation(AugmentSettings(flip=(1,), noise=0.2))
    changed = replace(plain, augment=augment)
    one, again = (changed.train(start, WORK, "client", 1) for _ in range(2))
    assert hash_weights(one.weights) == hash_weights(again.weights)
    assert hash_weights(one.weights) != hash_weights(plain.train(start, WORK, "client", 1).weights)
    assert changed.evaluate(start, "test") == plain.evaluate(start, "test")


def test_vendor_role_round_and_seed_each_give_another_order_of_examples(start: Weights) -> None:
    results = {
        hash_weights(make_learner(vendor, seed).train(start, WORK, role, number).weights)
        for vendor, seed, role, number in [
            ("aster", 65, "client", 1),
            ("draco", 65, "client", 1),
            ("aster", 66, "client", 1),
            ("aster", 65, "server", 1),
            ("aster", 65, "client", 2),
        ]
    }
    assert len(results) == 5


def test_weights_that_are_given_are_not_changed(start: Weights) -> None:
    before = hash_weights(start)
    make_learner().train(start, WORK, "client", 1)
    assert hash_weights(start) == before


def test_evaluation_is_of_the_given_weights_on_the_named_split(start: Weights) -> None:
    learner = make_learner()
    trained = learner.train(start, Work(0.05, 8), "client", 1).weights
    assert learner.evaluate(trained, "validation")["accuracy"] == 1
    assert learner.evaluate(start, "validation") == make_learner().evaluate(start, "validation")
    assert learner.evaluate(trained, "test")["loss"] != learner.evaluate(trained, "train")["loss"]


def test_model_that_was_evaluated_is_not_evaluated_again(
    start: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, calls = make_learner(), []
    plain = clients.learner.evaluate
    monkeypatch.setattr(
        clients.learner, "evaluate", lambda *a, **k: calls.append(1) or plain(*a, **k)
    )
    first = learner.evaluate(start, "validation")
    copy = {name: array.copy() for name, array in start.items()}
    assert learner.evaluate(copy, "validation") == first and len(calls) == 1
    learner.evaluate(start, "test")
    learner.evaluate({name: array + 1 for name, array in start.items()}, "validation")
    assert len(calls) == 3
    other = replace(learner, data=replace(learner.data, validation=learner.data.test))
    other.evaluate(start, "validation")
    assert len(calls) == 4, "other data, other results"


def test_few_results_are_kept(start: Weights) -> None:
    learner = make_learner()
    for number in range(MOST_MEASURED + 5):
        learner.evaluate({name: array + number for name, array in start.items()}, "validation")
    assert len(learner._measured) == MOST_MEASURED
