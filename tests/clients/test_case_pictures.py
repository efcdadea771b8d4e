"""Rules of pictures of cases: which are shown, on which slice, in one window."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from clients.case_pictures import COLOURS, ShownCase, case_pictures
from clients.data.vendor_data import Split
from clients.networks.weights import get_weights
from clients.tasks.registry import task_of
from clients.tasks.settings import TaskSettings
from tests.support.learning.tasks import classification, restoration, segmentation

CPU = torch.device("cpu")


class Shifted(nn.Module):
    """Gives its input plus a shift; as logits of two classes, if ``classes``."""

    def __init__(self, shift: float = 0.0, classes: bool = False) -> None:
        super().__init__()
        self.shift, self.classes = nn.Parameter(torch.tensor(shift)), classes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = images + self.shift
        return torch.cat([-found, found], dim=1) if self.classes else found


class Brightness(Shifted):
    """Gives logits of two classes for a whole image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = images.flatten(1).mean(1) + self.shift
        return torch.stack([-found, found], dim=1)


def shown(network: Shifted, data: Split, settings: TaskSettings, side: int = 64) -> list[ShownCase]:
    models = {
        "global": get_weights(type(network)(0.5, network.classes)),
        "personalised": get_weights(network),
    }
    return case_pictures(network, models, data, task_of(settings), CPU, side)


def pixels(case: ShownCase, cell: int, picture: int = 0) -> np.ndarray:
    content, alternative = case.cells[cell].pictures[picture]
    assert alternative
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def restored(*errors: float, shape: tuple[int, ...] = (12, 16)) -> Split:
    """Return images that are too bright by these errors, in parts of the window."""
    rng = np.random.default_rng(0)
    truth = torch.from_numpy(rng.uniform(-0.5, 0.5, (len(errors), 1, *shape)).astype(np.float32))
    shift = torch.tensor(errors).reshape(-1, 1, *(1,) * len(shape)) * 2
    return Split(truth + shift, truth)


def test_worst_median_and_best_are_those_of_the_personalised_model() -> None:
    cases = shown(Shifted(), restored(0.05, 0.2, 0.01, 0.1, 0.15), restoration())
    assert [case.rank for case in cases] == ["worst", "median", "best"]
    scores = [case.cells[3].caption for case in cases]
    assert scores == [f"PSNR {-20 * np.log10(error):.3g} dB" for error in (0.2, 0.1, 0.01)]
    # The global model is too bright besides, and tells its own score.
    assert all(case.cells[2].caption != case.cells[3].caption for case in cases)


@pytest.mark.parametrize(("count", "ranks"), [(1, ["worst"]), (2, ["worst", "median"])])
def test_few_cases_are_shown_once(count: int, ranks: list[str]) -> None:
    assert [
        case.rank for case in shown(Shifted(), restored(*[0.1] * count), restoration())
    ] == ranks


def test_difference_is_red_where_too_bright_and_blue_where_too_dark() -> None:
    data = restored(0.3, -0.3, 0.0)
    bright, dark, right = shown(Shifted(), data, restoration())[0:3]
    colours = [pixels(case, 3, 1)[6, 8] for case in (bright, dark, right)]
    red, blue = (colour for colour in colours[:2]) if colours[0][0] > 100 else colours[1::-1]
    assert red[0] > red[2] and blue[2] > blue[0] and (colours[2] > 250).all()
    assert len(bright.cells[1].pictures) == 1, "the target differs from itself in nothing"


def test_all_pictures_have_one_window() -> None:
    data = Split(torch.full((1, 1, 8, 8), -0.5), torch.full((1, 1, 8, 8), 0.5))
    # Pictures do not stretch what they show: a quarter and three quarters of the window.
    settings = restoration()
    (case,) = shown(
        Shifted(), Split(data.images.repeat(1, 1, 2, 2), data.targets.repeat(1, 1, 2, 2)), settings
    )
    assert (pixels(case, 0) == 64).all() and (pixels(case, 1) == 191).all()


def test_mask_lies_over_the_slice_with_most_of_it() -> None:
    images = torch.full((3, 1, 5, 6, 7), -1.0)
    masks = torch.zeros((3, 5, 6, 7), dtype=torch.int64)
    masks[:, 1, 0, 0] = 1
    masks[:, 3, 2:4, 2:5] = 1
    images[:, 0, 3] = -0.2
    images[:, 0, 3, 2:4, 2:5] = 1.0
    case = shown(Shifted(classes=True), Split(images, masks), segmentation(3, classes=2))[0]
    found = pixels(case, 1)
    inside = np.zeros((6, 7), bool)
    inside[2:4, 2:5] = True
    grey = found.max(axis=2) == found.min(axis=2)
    np.testing.assert_array_equal(~grey, inside)
    expected = (255 + np.array(COLOURS[0])) // 2
    np.testing.assert_allclose(found[inside], np.broadcast_to(expected, (6, 3)), atol=2)
    np.testing.assert_array_equal(pixels(case, 3), found)
    assert case.cells[3].caption == f"Dice {12 / 13:.3g}"  # one voxel of another slice is missed


def test_class_is_told_with_its_probability() -> None:
    images = torch.cat([torch.full((1, 1, 4, 4), value) for value in (-1.0, -0.1, 1.0)])
    data = Split(images, torch.tensor([0, 1, 1]))
    worst, _, best = shown(Brightness(), data, classification())
    assert worst.cells[1].caption == "class-1"
    assert worst.cells[3].caption == "class-0 (0.55)"
    assert best.cells[3].caption == "class-1 (0.88)"
    assert not any(cell.pictures for cell in worst.cells[1:])


def test_large_pictures_are_made_small_and_equal_cases_are_equal_bytes() -> None:
    data = restored(0.1, 0.2, 0.3, shape=(300, 200))
    first, second = (shown(Shifted(), data, restoration(), side=64) for _ in range(2))
    assert pixels(first[0], 0).shape == (64, 43, 3)
    assert first == second
    total = sum(len(each) for case in first for cell in case.cells for each, _ in cell.pictures)
    assert total < 3 * 7 * 6000


def test_colours_stay_colours() -> None:
    settings: Any = restoration(channels=3)
    data = Split(torch.zeros(1, 3, 12, 12), torch.zeros(1, 3, 12, 12))
    data.images[:, 0] = 1.0
    (case,) = shown(Shifted(), data, settings)
    assert (pixels(case, 0)[0, 0] == [255, 128, 128]).all()
