"""Rules of classifying a single image file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clients.networks import initial_network
from clients.prediction import predict_file
from clients.settings import ModelSettings, TaskSettings
from srflm_flower.errors import DataError

TASK = TaskSettings()
NETWORK = initial_network(ModelSettings(), TASK, 1)


def write_image(folder: Path, shape: tuple[int, ...] = (32, 32), name: str = "x.png") -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def test_image_gets_a_probability_a_class(tmp_path: Path) -> None:
    probabilities = predict_file(NETWORK, write_image(tmp_path), TASK, None)
    assert len(probabilities) == 4
    assert sum(probabilities) == pytest.approx(1)
    assert all(0 < p < 1 for p in probabilities)


def test_prediction_is_the_same_each_time_and_depends_on_the_size(tmp_path: Path) -> None:
    path = write_image(tmp_path)
    assert predict_file(NETWORK, path, TASK, None) == predict_file(NETWORK, path, TASK, None)
    assert predict_file(NETWORK, path, TASK, 16) != predict_file(NETWORK, path, TASK, None)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        predict_file(NETWORK, tmp_path / "none.png", TASK, None)
    assert caught.value.code == DataError.MISSING


def test_image_with_other_channels_than_in_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        predict_file(NETWORK, write_image(tmp_path, (32, 32, 3)), TASK, None)
    assert caught.value.code == DataError.SHAPE
    assert "1 channel(s), 2 spatial dimensions" in caught.value.expected


def test_volume_for_a_network_of_slices_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "volume.npy", np.random.default_rng(0).random((16, 17, 18)))
    with pytest.raises(DataError) as caught:
        predict_file(NETWORK, tmp_path / "volume.npy", TASK, None)
    assert caught.value.code == DataError.SHAPE


def test_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        predict_file(NETWORK, tmp_path / "x.png", TASK, None)
    assert caught.value.code == DataError.UNREADABLE
