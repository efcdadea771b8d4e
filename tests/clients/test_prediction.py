"""Rules of classifying a single image file."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from clients.data.examples import Examples
from clients.data.image_file import read_image
from clients.data.vendor_data import as_images, as_split
from clients.imaging.writing import nifti_bytes
from clients.models.model_file import load_model
from clients.networks.build import initial_network
from clients.prediction import predict_file
from clients.preparation.settings import PrepareSettings
from clients.settings import ModelSettings
from clients.tasks.settings import ClassificationSettings
from strategies.errors import DataError
from tests.support.dicom_files import stored_by_ge, stored_by_toshiba, write_dicom
from tests.support.learning.tasks import classification, restoration, segmentation
from tests.support.tiny import conduct, new_run, tiny_federation

TASK = ClassificationSettings()
NETWORK = initial_network(ModelSettings(), TASK, 1)


def write_image(folder: Path, shape: tuple[int, ...] = (32, 32), name: str = "x.png") -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def test_image_gets_a_probability_a_class(tmp_path: Path) -> None:
    probabilities = predict_file(NETWORK, write_image(tmp_path), TASK, None).values
    assert len(probabilities) == 4
    assert sum(probabilities) == pytest.approx(1)
    assert all(0 < p < 1 for p in probabilities)


def test_prediction_is_the_same_each_time_and_depends_on_the_size(tmp_path: Path) -> None:
    path = write_image(tmp_path)
    found, again, smaller = (
        predict_file(NETWORK, path, TASK, size).values for size in (None, None, 16)
    )
    assert found.tolist() == again.tolist() != smaller.tolist()


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


def test_image_of_another_size_than_in_training_is_refused_unless_resized(tmp_path: Path) -> None:
    path = write_image(tmp_path, (32, 24))
    with pytest.raises(DataError) as caught:
        predict_file(NETWORK, path, TASK, None, trained_size=32)
    assert caught.value.code == DataError.SHAPE
    assert "(32, 24)" in caught.value.found
    assert "32 pixels a side" in caught.value.expected
    assert "--image-size 32" in caught.value.mend
    assert predict_file(NETWORK, path, TASK, 32, trained_size=32).values.shape == (4,)
    assert predict_file(NETWORK, path, TASK, None).values.shape == (4,)


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_picture_has_one_channel_and_rgb_three(tmp_path: Path, channels: int) -> None:
    task = ClassificationSettings(channels=channels)
    network = initial_network(ModelSettings(), task, 1)
    shape = (32, 32) if channels == 1 else (32, 32, 3)
    assert len(predict_file(network, write_image(tmp_path, shape), task, None).values) == 4


def test_picture_is_classified_as_the_same_array_in_training_data(tmp_path: Path) -> None:
    federation = tiny_federation(tmp_path)
    folder = new_run(federation, tmp_path / "run")
    conduct(folder)
    network = load_model(folder.global_model)
    with np.load(tmp_path / "tiny.npz") as archive:
        images, labels = archive["test_images"], archive["test_labels"]
    split = as_split(Examples(images, labels), classification(2, 1))
    with torch.no_grad():
        expected = network(split.images).softmax(1).numpy()
    found = []
    for number, pixels in enumerate(images):
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        found.append(predict_file(network, path, federation.task, None, trained_size=8).values)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (np.argmax(found, axis=1) == labels[:, 0]).mean() > 0.6


def test_network_that_gets_values_from_minus_one_to_one_agrees_with_predict(tmp_path: Path) -> None:
    # The tutorial tells readers to scale so: images in [0, 1] give other answers, without an error.
    path = write_image(tmp_path)
    images = torch.from_numpy(read_image(path, None, PrepareSettings()))[None]
    with torch.no_grad():
        scaled, unscaled = (NETWORK.eval()(each).softmax(1)[0] for each in (images * 2 - 1, images))
    expected = torch.tensor(predict_file(NETWORK, path, TASK, None).values)
    torch.testing.assert_close(scaled, expected)
    assert not torch.allclose(unscaled, expected)


def test_ct_is_classified_through_the_window_of_training(tmp_path: Path) -> None:
    hu = np.random.default_rng(0).integers(-300, 400, (32, 32))
    window = PrepareSettings(window=(-160.0, 240.0))
    paths = []
    for name, store in (("ge", stored_by_ge), ("toshiba", stored_by_toshiba)):
        stored, elements = store(hu)
        paths.append(write_dicom(tmp_path / f"{name}.dcm", stored, **elements))
    found = [predict_file(NETWORK, path, TASK, None, settings=window).values for path in paths]
    assert found[0].tolist() == found[1].tolist()
    images = ((hu.clip(-160, 240) + 160) / 400).astype(np.float32)
    with torch.no_grad():
        expected = NETWORK.eval()(as_images(images[None], TASK)).softmax(1)[0]
    torch.testing.assert_close(torch.tensor(found[0]), expected)
    with pytest.raises(DataError, match="no window"):
        predict_file(NETWORK, paths[0], TASK, None)


class Bright(nn.Module):
    """Finds what is brighter than the middle of the range."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([-images, images], dim=1)


class Same(nn.Module):
    """Restores nothing."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def write_volume(path: Path, values: np.ndarray) -> Path:
    """Write a volume whose first axis leads to the left, with voxels of 1 × 1 × 2 mm."""
    affine = np.array([[-1.0, 0, 0, 5], [0, 1, 0, -7], [0, 0, 2, 3], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(values.astype(np.int16), affine), path)
    return path


def test_mask_lies_where_its_image_lies(tmp_path: Path) -> None:
    values = np.zeros((9, 8, 6))
    values[2:5, 3:6, 2:4] = 800
    path = write_volume(tmp_path / "x.nii.gz", values)
    task = segmentation(spatial_dims=3, classes=2)
    agreed = PrepareSettings(orientation="RAS", spacing=(1.0,), window=(0, 800), size=(12,))
    found, affine = predict_file(Bright(), path, task, None, settings=agreed)
    assert affine is not None and found.shape == (9, 8, 6)
    # The volume is read with its first axis to the right.
    truth = values[::-1] > 400
    overlap = 2 * (truth & (found > 0)).sum() / (truth.sum() + (found > 0).sum())
    assert overlap > 0.7
    (tmp_path / "mask.nii.gz").write_bytes(nifti_bytes(found, affine))
    written = nibabel.load(tmp_path / "mask.nii.gz")
    centre = written.affine @ [*np.argwhere(np.asarray(written.dataobj)).mean(axis=0), 1]
    expected = nibabel.load(path).affine @ [*np.argwhere(values > 0).mean(axis=0), 1]
    np.testing.assert_allclose(centre, expected, atol=0.6)


def test_restored_image_is_in_the_unit_of_the_window(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-100, 200, (6, 7, 8))
    path = write_volume(tmp_path / "x.nii", values)
    task = restoration(**{"spatial-dims": 3})
    agreed = PrepareSettings(window=(-160, 240))
    found, _ = predict_file(Same(), path, task, None, settings=agreed)
    np.testing.assert_allclose(found[0], values[::-1], atol=1e-3)
    unitless, _ = predict_file(Same(), path, task, None)
    assert unitless.min() >= 0 and unitless.max() <= 1


def test_equal_results_are_equal_files() -> None:
    mask = np.ones((3, 4, 5), np.uint8)
    assert nifti_bytes(mask, np.eye(4)) == nifti_bytes(mask.copy(), np.eye(4))
    assert nifti_bytes(mask[0], np.eye(4)) != nifti_bytes(mask, np.eye(4))
