"""No record moves what a step releases by more than the clipping bound, whatever it contains."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from clients.tasks.losses import Loss, cross_entropy
from tests.support.learning.hook_gradients import Way
from tests.support.learning.private_training import CASES, FAST, cases, released

SHARE = 0.5
BOUND = math.sqrt(1 + SHARE**2)
CLIPS = (0.01, 0.3, 3.0, 30.0)


def sensitivity(
    network: nn.Module,
    loss: Loss,
    mode: Way,
    images: torch.Tensor,
    targets: torch.Tensor,
    clip: float,
    records: range,
) -> tuple[float, float]:
    """Return max over records of ‖S(D) − S(D∖i)‖ / C: of the gradient, and of all coordinates."""
    everyone = released(network, loss, mode, images, targets, clip)
    gradient, together = 0.0, 0.0
    for left_out in records:
        kept = [i for i in range(len(images)) if i != left_out]
        rest = released(network, loss, mode, images[kept], targets[kept], clip)
        difference = everyone - rest
        gradient = max(gradient, float(difference[:-1].norm()) / clip)
        together = max(together, float(difference.norm()) / clip)
    return gradient, together


@pytest.mark.parametrize("name", cases(CASES))
def test_no_record_counts_for_more_than_the_bound(name: str) -> None:
    case = CASES[name]
    records, clips = (range(4), CLIPS) if name in FAST else (range(2), CLIPS[1:3])
    for loss in case.losses:
        network, (images, targets) = case.ready(), case.data(4, loss)
        for mode in case.modes:
            found = [
                sensitivity(network, loss, mode, images, targets, clip, records) for clip in clips
            ]
            assert max(gradient for gradient, _ in found) <= 1.001, mode
            assert max(together for _, together in found) <= 1.001 * BOUND, mode
            assert min(gradient for gradient, _ in found[:1]) > 0.9, "clipping must have been tried"


def test_the_sweep_sees_normalisation_over_the_batch() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4, affine=False, track_running_stats=False),
        nn.Flatten(),
        nn.Linear(400, 3),
    )
    images, targets = FAST["small-cnn"].data(4, cross_entropy)
    worst = max(
        sensitivity(network, cross_entropy, "hooks", images, targets, clip, range(4))[0]
        for clip in CLIPS
    )
    assert worst > 1.1


def test_the_sweep_sees_a_class_weighted_mean() -> None:
    def weighted(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        weights = torch.tensor([1.0, 20.0, 1.0])
        loss = functional.cross_entropy(outputs, labels, weight=weights)
        return loss.expand(len(outputs))

    case = FAST["small-cnn"]
    images, targets = case.data(4, cross_entropy)
    targets[0] = 1
    targets[1:] = 0
    worst = max(
        sensitivity(case.ready(), weighted, "hooks", images, targets, clip, range(4))[0]
        for clip in CLIPS
    )
    assert worst > 1.1
