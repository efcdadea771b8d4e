"""Rules of masks and target images: from the phantom, from a file, and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clients.data.npz import read_npz
from clients.data.partition import divide_by_shares
from clients.data.phantom import make_vendor
from clients.data.phantom.targets import ORGANS
from clients.data.plan import DataPlan
from clients.data.preview import write_data_preview
from clients.data.sources import load_vendor_data
from clients.data.vendor_data import SPLITS
from clients.partition_settings import SharesPartition
from clients.settings import FileData, NpzData, PhantomData, SplitSettings, VendorSettings
from clients.tasks.settings import SegmentationSettings, TaskSettings
from strategies.errors import DataError
from tests.support.learning.tasks import restoration, segmentation

PHANTOM = PhantomData(examples=20, image_size=32)
TWO = (VendorSettings(name="a"), VendorSettings(name="b"))


def plan_of(task: TaskSettings, data: Any = PHANTOM, vendors: Any = TWO) -> DataPlan:
    return DataPlan(data, task, vendors, SplitSettings(), batch_size=4, seed=1)


def organs(*classes: str) -> SegmentationSettings:
    return SegmentationSettings(kind="segmentation", classes=classes)


# ---- the phantom ---------------------------------------------------------------------------------


def test_phantom_has_masks_of_the_named_organs_in_their_order() -> None:
    data = load_vendor_data(plan_of(organs("background", "spleen", "liver")), "b")
    whole = make_vendor(1, 20, size=32, seed=1)
    masks = list(zip(whole.images, whole.masks, strict=True))
    for image, mask in zip(data.train.images, data.train.targets, strict=True):
        stored = ((image + 1) / 2).numpy()
        true = min(masks, key=lambda known: np.abs(known[0] - stored).max())[1]
        np.testing.assert_array_equal(mask == 1, true == ORGANS.index("spleen"))
        np.testing.assert_array_equal(mask == 2, true == ORGANS.index("liver"))
    assert data.train.targets.dtype == torch.int64
    assert data.train.spacing is not None
    assert data.train.spacing[0].tolist() == [whole.scanner.pixel_at(32)] * 2


@pytest.mark.parametrize(
    "classes", [("background", "heart"), ("liver", "background")], ids=["unknown", "order"]
)
def test_organs_that_the_phantom_does_not_have_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as caught:
        load_vendor_data(plan_of(organs(*classes)), "a")
    assert caught.value.code == DataError.LABELS_OUTSIDE_CLASSES
    assert "background, then any of its organs: body, liver" in caught.value.expected


def test_low_dose_is_noisier_than_the_full_dose_that_is_its_target() -> None:
    data = load_vendor_data(plan_of(restoration()), "a")
    whole = make_vendor(0, 20, size=32, seed=1, pairs=True)
    assert whole.low_dose is not None
    low, full = ((each + 1) / 2 for each in (data.train.images, data.train.targets))
    known = {image.round(4).tobytes() for image in whole.images}
    assert all(image.numpy().round(4).tobytes() in known for image in full)
    assert float((low - full).square().mean().sqrt()) == pytest.approx(
        float(np.sqrt(np.square(whole.low_dose - whole.images).mean())), rel=0.2
    )


def test_classification_of_the_phantom_is_what_it_was() -> None:
    """The images of a pair's full dose are those of the classification."""
    plain, pairs = (make_vendor(0, 5, size=32, seed=1, pairs=each) for each in (False, True))
    np.testing.assert_array_equal(plain.images, pairs.images)


# ---- files ---------------------------------------------------------------------------------------


def write_npz(path: Path, name: str, like: Any, spacing: bool = False) -> Path:
    """Write 24, 8, and 8 images of 16 × 12 pixels with targets ``like(images)``."""
    rng, arrays = np.random.default_rng(0), {}
    for split, count in (("train", 24), ("val", 8), ("test", 8)):
        images = rng.random((count, 16, 12)).astype(np.float32)
        arrays |= {f"{split}_images": images, f"{split}_{name}": like(images)}
        if spacing:
            arrays[f"{split}_spacing"] = rng.uniform(0.5, 2, (count, 2))
    np.savez(path, **arrays)
    return path


def masks_of(images: np.ndarray) -> np.ndarray:
    return (images * 3).astype(np.uint8)


@pytest.mark.parametrize("channel", [None, 1, -1])
def test_masks_of_a_file_belong_to_their_images(tmp_path: Path, channel: int | None) -> None:
    def like(images: np.ndarray) -> np.ndarray:
        masks = masks_of(images)
        return masks if channel is None else np.expand_dims(masks, channel)

    path = write_npz(tmp_path / "x.npz", "masks", like, spacing=True)
    data = NpzData(source="npz", path=path, partition=SharesPartition(kind="shares"))
    found = [load_vendor_data(plan_of(segmentation(), data), name) for name in "ab"]
    for vendor in found:
        for name in SPLITS:
            split = vendor.split(name)
            stored = (split.images[:, 0] + 1) / 2
            assert ((stored * 3).long() == split.targets).float().mean() > 0.999
            assert split.spacing is not None and split.spacing.shape == (len(split), 2)
    assert [len(vendor.train) for vendor in found] == [12, 12]


def test_target_images_of_a_file_belong_to_their_images(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "x.npz", "targets", lambda images: images / 2)
    data = NpzData(source="npz", path=path, partition=SharesPartition(kind="shares"))
    train = load_vendor_data(plan_of(restoration(), data), "a").train
    torch.testing.assert_close(train.targets, (train.images + 1) / 2 - 1)


def test_vendor_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    vendors = tuple(
        VendorSettings(name=name, path=write_npz(tmp_path / f"{name}.npz", "masks", masks_of))
        for name in "ab"
    )
    data = load_vendor_data(plan_of(segmentation(), FileData(source="files"), vendors), "a")
    assert (len(data.train), len(data.validation), len(data.test)) == (24, 8, 8)


def test_file_without_masks_is_refused_and_says_what_it_needs(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "x.npz", "labels", lambda images: np.arange(len(images)) % 2)
    with pytest.raises(DataError) as caught:
        read_npz(path, "mask")
    assert "lacks the array train_masks" in caught.value.found
    assert "train_images, train_masks, val_images, val_masks" in caught.value.expected


def test_folder_of_classes_is_refused_for_masks(tmp_path: Path) -> None:
    vendors = (VendorSettings(name="a", path=tmp_path),)
    with pytest.raises(DataError, match="srflm data index"):
        load_vendor_data(plan_of(segmentation(), FileData(source="files"), vendors), "a")


@pytest.mark.parametrize(
    ("name", "kind", "like", "words"),
    [
        ("masks", "mask", lambda images: images, "no whole numbers"),
        ("targets", "image", lambda images: images * 300, "finite floats from 0 to 1"),
        ("targets", "image", lambda images: images[1:], "one of the targets for each image"),
        ("masks", "mask", lambda images: images.astype(str), "arrays of numbers"),
    ],
    ids=["fractions", "range", "number", "texts"],
)
def test_unusable_targets_are_refused(
    tmp_path: Path, name: str, kind: Any, like: Any, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_npz(write_npz(tmp_path / "x.npz", name, like), kind)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "spacing", [np.ones(24), np.zeros((24, 2)), np.full((24, 2), np.nan), np.full((24, 2), "x")]
)
def test_unusable_spacing_is_refused(tmp_path: Path, spacing: np.ndarray) -> None:
    path = write_npz(tmp_path / "x.npz", "masks", masks_of, spacing=True)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **(arrays | {"train_spacing": spacing}))
    with pytest.raises(DataError, match="train spacing of shape"):
        read_npz(path, "mask")


@settings(max_examples=80, deadline=None)
@given(
    count=st.integers(0, 200),
    shares=st.lists(st.floats(0.1, 100), min_size=1, max_size=6),
    seed=st.integers(0, 2**32),
)
def test_division_by_shares_is_a_partition_by_the_shares(
    count: int, shares: list[float], seed: int
) -> None:
    parts = divide_by_shares(count, shares, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    assert all((np.diff(part) > 0).all() for part in parts)
    if count >= len(shares):
        assert all(len(part) >= 1 for part in parts)
        wanted = np.array(shares) / sum(shares) * (count - len(shares)) + 1
        assert np.abs(np.array([len(part) for part in parts]) - wanted).max() <= 1 + 1e-9


# ---- the picture ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task", [segmentation(), restoration()], ids=["segmentation", "restoration"]
)
def test_preview_shows_masks_and_pairs(tmp_path: Path, task: TaskSettings) -> None:
    name, like = ("masks", masks_of) if task.target == "mask" else ("targets", lambda x: x / 2)
    path = write_npz(tmp_path / "x.npz", name, like)
    data = NpzData(source="npz", path=path, partition=SharesPartition(kind="shares"))
    write_data_preview(tmp_path / "p.png", plan_of(task, data))
    with Image.open(tmp_path / "p.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    # Masks lie over the images in colour, and differences are red or blue.
    assert (pixels.max(2) - pixels.min(2) > 60).mean() > 0.02
