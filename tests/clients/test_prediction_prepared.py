"""`srflm predict` prepares images as training did, and results lie where their image lies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import clients.data.folder
import clients.prediction
from clients.data.folder import read_folder
from clients.data.image_file import LoadedImage, load_image
from clients.data.vendor_data import Split, as_split
from clients.imaging.reading import read_volume
from clients.prediction import predict_file
from clients.preparation.settings import PrepareSettings
from clients.settings import SplitSettings
from clients.tasks.settings import (
    ClassificationSettings,
    RestorationSettings,
    SegmentationSettings,
    TaskSettings,
)
from strategies.errors import DataError
from tests.clients.preparation.test_geometry import affine_of

AFFINE = affine_of("SLA", (2.0, 1.0, 1.5))
SETTINGS = [
    PrepareSettings(orientation="RAS", spacing=(1.0,), size=(12,), normalise="z-score"),
    PrepareSettings(spacing=(1.5,), size=(8, 9, 10), window=(-1, 2)),
    PrepareSettings(orientation="LPI", normalise="percentile", percentiles=(2, 90)),
]


class Noting(nn.Module):
    """A network that keeps what it sees, and gives it back."""

    def __init__(self, outputs: int = 0) -> None:
        super().__init__()
        self.seen = torch.empty(0)
        self.outputs = outputs

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen = images
        if self.outputs == 0:
            return images
        # Of a bright voxel, the second class is likely.
        return torch.cat([-images, images], dim=1) if images.ndim == 5 else images.flatten(1)[:, :2]


@pytest.fixture
def volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Write arrays of which the readers say where they lie."""

    def with_place(path: Path) -> LoadedImage:
        return load_image(path)._replace(affine=AFFINE)

    monkeypatch.setattr(clients.data.folder, "load_image", with_place)
    monkeypatch.setattr(
        clients.prediction, "read_volume", lambda path: replace(read_volume(path), affine=AFFINE)
    )
    paths = []
    for split in ("train", "val", "test"):
        for number, name in enumerate(("dark", "bright")):
            paths.append(tmp_path / "images" / split / name / "0.npy")
            paths[-1].parent.mkdir(parents=True)
            values = np.random.default_rng(len(paths)).normal(number, 1, (6, 10, 8))
            np.save(paths[-1], values)
    return paths


def trained_on(folder: Path, task: ClassificationSettings, settings: PrepareSettings) -> Split:
    arrays = read_folder(folder, task.classes, None, SplitSettings(), b"1", settings)
    return as_split(arrays["train"], task)


@pytest.mark.parametrize("settings", SETTINGS, ids=["all", "window", "percentile"])
def test_model_sees_what_it_saw_in_training(
    tmp_path: Path, volumes: list[Path], settings: PrepareSettings
) -> None:
    task = ClassificationSettings(classes=("bright", "dark"), spatial_dims=3)
    images = trained_on(tmp_path / "images", task, settings).images
    assert len(images) == 2 and not torch.equal(images[0], images[1])
    side = None if settings.size is None else 12  # as it is noted in the model file
    for row, path in enumerate((volumes[1], volumes[0])):  # classes in the order of their names
        network = Noting(2)
        predict_file(network, path, task, None, trained_size=side, settings=settings)
        assert torch.equal(network.seen, images[row : row + 1])


def predicted(path: Path, task: TaskSettings, settings: PrepareSettings) -> NDArray[Any]:
    network = Noting(2 if task.target == "mask" else 0)
    found, affine = predict_file(network, path, task, None, None, settings)
    np.testing.assert_array_equal(affine, AFFINE)
    return found


@pytest.mark.parametrize("orientation", [None, "RAS", "IPL"])
def test_results_lie_where_the_image_lies(volumes: list[Path], orientation: Any) -> None:
    values = np.load(volumes[0], allow_pickle=False)
    settings = PrepareSettings(orientation=orientation, size=(12,), window=(-2, 2))
    mask_task = SegmentationSettings(kind="segmentation", classes=("a", "b"), spatial_dims=3)
    mask = predicted(volumes[0], mask_task, settings)
    np.testing.assert_array_equal(mask, values > 0)
    image_task = RestorationSettings(kind="restoration", spatial_dims=3)
    restored = predicted(volumes[0], image_task, settings)
    np.testing.assert_allclose(restored, values.clip(-2, 2)[None], atol=1e-5)


def test_resampled_result_has_the_shape_of_the_image(volumes: list[Path]) -> None:
    task = SegmentationSettings(kind="segmentation", classes=("a", "b"), spatial_dims=3)
    settings = PrepareSettings(orientation="RAS", spacing=(0.5,), normalise="z-score")
    assert predicted(volumes[0], task, settings).shape == (6, 10, 8)


def test_model_with_a_geometry_takes_no_image_size(volumes: list[Path]) -> None:
    task = ClassificationSettings(classes=("bright", "dark"), spatial_dims=3)
    with pytest.raises(DataError, match="leave --image-size out"):
        predict_file(Noting(2), volumes[0], task, 16, settings=SETTINGS[0])
