"""Rules of evaluation, against metrics computed anew with NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from clients.data.records import MOST_IMAGES, MOST_PIXELS, images_at_once
from clients.data.vendor_data import Split
from clients.evaluation import evaluate, outputs_of, predictions
from clients.tasks.classification import classification_metrics
from clients.tasks.registry import task_of
from tests.support.learning.tasks import classification

CPU = torch.device("cpu")
TWO = task_of(classification())


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(scores.argmax(1) == labels))


def balanced_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    hits = scores.argmax(1) == labels
    return float(np.mean([hits[labels == label].mean() for label in np.unique(labels)]))


def auc(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the mean over classes of P(score of a member > score of another), ties one half."""
    values = []
    for label in np.unique(labels):
        members, others = scores[labels == label, label], scores[labels != label, label]
        if len(others):
            above = (members[:, None] > others) + 0.5 * (members[:, None] == others)
            values.append(above.mean())
    return float(np.mean(values)) if values else None


@settings(max_examples=120, deadline=None)
@given(
    classes=st.integers(2, 5),
    count=st.integers(1, 40),
    coarse=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_metrics_equal_an_independent_computation(
    classes: int, count: int, coarse: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random((count, classes))
    if coarse:  # many ties between examples, none within an example
        scores = rng.permuted(np.tile(np.arange(classes) + 1.0, (count, 1)), axis=1)
    scores = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
    labels = rng.integers(0, rng.integers(1, classes + 1), count)
    metrics = classification_metrics(torch.from_numpy(scores), torch.from_numpy(labels))
    expected = {
        "accuracy": accuracy(scores, labels),
        "balanced-accuracy": balanced_accuracy(scores, labels),
        "auc": auc(scores, labels),
    }
    assert metrics == pytest.approx({k: v for k, v in expected.items() if v is not None})


def test_undefined_auc_is_left_out() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    metrics = classification_metrics(probabilities, torch.tensor([0, 0]))
    assert metrics == {"accuracy": 0.5, "balanced-accuracy": 0.5}


def test_class_without_examples_does_not_count() -> None:
    probabilities = torch.eye(3)[[0, 0, 1, 2]]
    metrics = classification_metrics(probabilities, torch.tensor([0, 0, 1, 1]))
    assert metrics["accuracy"] == 0.75
    assert metrics["balanced-accuracy"] == pytest.approx((1 + 0.5) / 2)


def test_perfect_and_reversed_prediction_have_auc_one_and_zero() -> None:
    labels = torch.tensor([0, 1, 0, 1])
    perfect = torch.nn.functional.one_hot(labels).float()
    assert classification_metrics(perfect, labels)["auc"] == 1
    assert classification_metrics(1 - perfect, labels)["auc"] == 0


class FirstPixels(nn.Module):
    """Takes the first pixels of the image as logits."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :2]


def test_logits_come_in_the_order_of_the_images_whatever_their_number() -> None:
    images = torch.randn(MOST_IMAGES + 3, 1, 2, 2)
    labels = torch.arange(len(images))
    found = list(predictions(FirstPixels(), Split(images, labels), CPU))
    assert [len(outputs) for outputs, _ in found] == [MOST_IMAGES, 3]
    logits = torch.cat([outputs for outputs, _ in found])
    torch.testing.assert_close(logits, images.flatten(1)[:, :2])
    assert torch.cat([cases.targets for _, cases in found]).equal(labels)


@pytest.mark.parametrize(
    ("shape", "at_once"), [((28, 28), 256), ((64, 64), 256), ((512, 512), 4), ((256, 256, 128), 1)]
)
def test_few_large_images_go_through_a_network_at_once(
    shape: tuple[int, ...], at_once: int
) -> None:
    assert images_at_once(shape) == at_once
    assert at_once == 1 or at_once * math.prod(shape) <= MOST_PIXELS


@pytest.mark.parametrize("shape", [(16, 16), (21, 40), (9, 30), (5, 6)])
def test_window_slides_over_images_of_any_size(shape: tuple[int, ...]) -> None:
    class Pixelwise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen: set[tuple[int, ...]] = set()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.seen.add(tuple(images.shape[2:]))
            return torch.cat([images, 3 * images + 1], dim=1)

    images, network = torch.rand(2, 1, *shape) * 2 - 1, Pixelwise()
    found = outputs_of(network, images, (16, 16))
    assert network.seen == {(16, 16)}
    torch.testing.assert_close(found, network(images), atol=1e-5, rtol=1e-5)


def test_evaluation_adds_the_mean_cross_entropy() -> None:
    images = torch.randn(10, 1, 2, 2)
    labels = torch.arange(10) % 2
    metrics = evaluate(FirstPixels(), Split(images, labels), TWO, CPU).metrics
    logits = images.flatten(1)[:, :2].numpy()
    expected = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(10), labels.numpy()])
    assert metrics["loss"] == pytest.approx(expected, rel=1e-5)
    assert metrics.keys() == {"accuracy", "balanced-accuracy", "auc", "loss"}


def test_metrics_that_are_not_finite_are_left_out() -> None:
    images = torch.full((4, 1, 2, 2), float("inf"))
    metrics = evaluate(FirstPixels(), Split(images, torch.tensor([0, 1, 0, 1])), TWO, CPU).metrics
    assert "loss" not in metrics
    assert all(np.isfinite(value) for value in metrics.values())


def test_evaluation_changes_nothing_in_the_network() -> None:
    network = nn.Sequential(nn.BatchNorm2d(1), FirstPixels())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    evaluate(network, Split(torch.randn(8, 1, 2, 2), torch.arange(8) % 2), TWO, CPU)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
