"""Rules of the local training loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.data.vendor_data import Split
from clients.files.checkpoint import Checkpoint
from clients.networks.build import initial_network
from clients.networks.weights import get_weights
from clients.preparation.augment_settings import AugmentSettings
from clients.preparation.augmentation import Augment, augmentation
from clients.settings import ModelSettings, TrainingSettings
from clients.tasks.losses import cross_entropy, dice_and_cross_entropy
from clients.tasks.settings import ClassificationSettings, SegmentationSettings, TaskSettings
from clients.training import Work, batch_indices, batches, make_optimizer, train
from strategies.errors import TrainingDiverged
from strategies.weights import Weights, hash_weights

CPU = torch.device("cpu")
TASK = ClassificationSettings(classes=("dark", "bright"))
SGD = TrainingSettings(batch_size=8, learning_rate=0.05)


def make_data(count: int = 20, value: float | None = None) -> Split:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    noise = torch.randn(count, 1, 8, 8, generator=generator) * 0.2
    images = noise + labels[:, None, None, None] - 0.5
    return Split(images if value is None else torch.full_like(images, value), labels)


def trained(
    work: Work, data: Split | None = None, settings: TrainingSettings = SGD, seed: int = 7
) -> tuple[Weights, float]:
    network = initial_network(ModelSettings(), TASK, seed=1)
    loss = train(network, data or make_data(), work, settings, seed, CPU)
    return get_weights(network), loss


def distance(one: Weights, other: Weights) -> float:
    return float(sum(np.square(one[name] - other[name]).sum() for name in one))


# ---- mini-batches --------------------------------------------------------------------------------


@given(examples=st.integers(1, 400), batch_size=st.integers(1, 50))
def test_epoch_has_every_batch_but_a_last_one_of_a_single_example(
    examples: int, batch_size: int
) -> None:
    expected = -(-examples // batch_size)
    if examples % batch_size == 1 and examples > batch_size > 1:
        expected -= 1
    assert batches(examples, batch_size) == expected


@settings(deadline=None)
@given(
    examples=st.integers(1, 60),
    batch_size=st.integers(1, 20),
    epochs=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_every_example_is_seen_once_an_epoch_but_a_dropped_single_one(
    examples: int, batch_size: int, epochs: int, seed: int
) -> None:
    per_epoch = batches(examples, batch_size)
    generator = torch.Generator().manual_seed(seed)
    drawn = list(batch_indices(examples, batch_size, epochs * per_epoch, generator))
    assert len(drawn) == epochs * per_epoch
    assert all(1 <= len(batch) <= batch_size for batch in drawn)
    for epoch in range(epochs):
        seen = torch.cat(drawn[epoch * per_epoch : (epoch + 1) * per_epoch]).tolist()
        assert len(set(seen)) == len(seen)
        assert set(seen) <= set(range(examples))
        assert len(seen) >= examples - 1
        assert len(seen) == examples or examples % batch_size == 1


@settings(deadline=None)
@given(examples=st.integers(2, 60), batch_size=st.integers(2, 20), steps=st.integers(0, 40))
def test_as_many_batches_are_drawn_as_there_are_steps(
    examples: int, batch_size: int, steps: int
) -> None:
    assert len(list(batch_indices(examples, batch_size, steps, torch.Generator()))) == steps


def test_every_epoch_has_an_order_of_its_own() -> None:
    first, second = batch_indices(32, 32, 2, torch.Generator().manual_seed(0))
    assert not torch.equal(first, second)


def test_work_in_epochs_and_work_in_steps_count_the_same_steps() -> None:
    assert Work(0.1, epochs=3).gradient_steps(20, 8) == 9
    assert Work(0.1, epochs=3, steps=5).gradient_steps(20, 8) == 5


# ---- training ------------------------------------------------------------------------------------


def test_same_seed_gives_bit_identical_weights() -> None:
    one, other = trained(Work(0.05, 2)), trained(Work(0.05, 2))
    assert hash_weights(one[0]) == hash_weights(other[0])
    assert one[1] == other[1]


def test_another_seed_gives_other_weights() -> None:
    assert hash_weights(trained(Work(0.05, 1))[0]) != hash_weights(
        trained(Work(0.05, 1), seed=8)[0]
    )


def test_training_leaves_the_process_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    trained(Work(0.05, 1))
    assert torch.equal(torch.rand(1), expected)


def test_training_learns() -> None:
    losses = [trained(Work(0.05, epochs))[1] for epochs in (1, 6)]
    assert losses[1] < losses[0] / 2


def test_work_limited_in_steps_equals_the_first_steps_of_an_epoch() -> None:
    whole, same = trained(Work(0.05, 1))[0], trained(Work(0.05, 99, steps=3))[0]
    fewer = trained(Work(0.05, 99, steps=2))[0]
    assert hash_weights(whole) == hash_weights(same) != hash_weights(fewer)


def test_no_steps_change_nothing() -> None:
    start = get_weights(initial_network(ModelSettings(), TASK, seed=1))
    weights, loss = trained(Work(0.05, 1, steps=0))
    assert hash_weights(weights) == hash_weights(start)
    assert loss == 0


def test_loss_is_the_mean_over_all_examples_seen() -> None:
    network = initial_network(ModelSettings(norm="group"), TASK, seed=1)
    data = make_data(20)
    network.train()
    expected = torch.nn.functional.cross_entropy(network(data.images), data.targets)
    loss = train(network, data, Work(1e-12, 1), SGD, 0, CPU)
    assert loss == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_images_that_are_not_finite_stop_training(value: float) -> None:
    with pytest.raises(TrainingDiverged) as caught:
        trained(Work(0.05, 1), make_data(value=value))
    assert caught.value.code == "SRFLM-T1"
    assert "look for damaged images" in caught.value.mend


def test_huge_learning_rate_stops_training() -> None:
    with pytest.raises(TrainingDiverged, match=r"lower training\.learning-rate"):
        trained(Work(1e30, 2))


def test_fedprox_keeps_the_weights_nearer_to_the_start() -> None:
    start = get_weights(initial_network(ModelSettings(norm="group"), TASK, seed=1))
    far = []
    for proximal in (0.0, 1.0, 10.0):
        network = initial_network(ModelSettings(norm="group"), TASK, seed=1)
        train(network, make_data(), Work(0.02, 4, proximal=proximal), SGD, 0, CPU)
        far.append(distance(get_weights(network), start))
    assert far[0] > far[1] > far[2] > 0


def test_single_example_can_be_trained_on() -> None:
    network = initial_network(ModelSettings(norm="group"), TASK, seed=1)
    assert train(network, make_data(1), Work(0.05, 1), SGD, 0, CPU) > 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)],
)
def test_optimizer_is_the_one_that_the_settings_name(
    name: str, kind: type[torch.optim.Optimizer]
) -> None:
    settings = TrainingSettings.model_validate(
        {"optimizer": name, "momentum": 0.7, "weight_decay": 0.01}
    )
    optimizer = make_optimizer(torch.nn.Linear(2, 2), settings, lr=0.3)
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.01)
    assert group.get("momentum", 0.7) == 0.7


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_every_optimizer_learns(name: str) -> None:
    settings = SGD.model_copy(update={"optimizer": name})
    losses = [trained(Work(0.005, epochs), settings=settings)[1] for epochs in (1, 6)]
    assert losses[1] < losses[0]


def test_frozen_parameters_are_left_out() -> None:
    network = torch.nn.Linear(2, 2)
    network.bias.requires_grad_(False)
    optimizer = make_optimizer(network, SGD, lr=0.1)
    assert [p.shape for p in optimizer.param_groups[0]["params"]] == [(2, 2)]


class Killed(Exception):
    """Training was interrupted."""


class DyingCheckpoint(Checkpoint):
    """A checkpoint after which the process is killed, at the third epoch."""

    epochs = 0

    def keep(self, state: dict[str, Any]) -> None:
        super().keep(state)
        self.epochs += 1
        if self.epochs == 3:
            raise Killed


@pytest.mark.parametrize("task", ["class", "mask"])
def test_augmented_training_is_resumed_to_the_bit(tmp_path: Path, task: str) -> None:
    changes = {"flip": (0, 1), "rotation": 15.0, "gamma": (0.7, 1.5), "noise": 0.1}
    augment = augmentation(AugmentSettings.model_validate(changes))
    data, network, loss = make_data(), ModelSettings(), cross_entropy
    task_settings: TaskSettings = TASK
    if task == "mask":
        data = Split(data.images, (data.images[:, 0] > 0).long())
        network = ModelSettings(network="UNet", arguments={"channels": [4, 8], "strides": [2]})
        task_settings = SegmentationSettings(kind="segmentation", classes=("none", "bright"))
        loss = dice_and_cross_entropy
    path = tmp_path / "checkpoint"

    def run(checkpoint: Checkpoint | None, augment: Augment | None = augment) -> str:
        model = initial_network(network, task_settings, seed=1)
        train(model, data, Work(0.05, 6), SGD, 7, CPU, True, checkpoint, loss, augment)
        return hash_weights(get_weights(model))

    with pytest.raises(Killed):
        run(DyingCheckpoint(path, "work", seconds=0))
    resumed = run(Checkpoint(path, "work", seconds=0))
    assert resumed == run(None) == run(None) != run(None, None)
