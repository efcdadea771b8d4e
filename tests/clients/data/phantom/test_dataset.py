"""Rules of a vendor's data set."""

import numpy as np
import pytest

from clients.data.phantom import LESION_CLASSES, Organ, make_vendor


def test_vendor_is_determined_by_seed_and_index() -> None:
    first, second = make_vendor(2, 12, seed=9), make_vendor(2, 12, seed=9)
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, second.labels)
    for other in (make_vendor(2, 12, seed=10), make_vendor(1, 12, seed=9)):
        assert not np.array_equal(first.masks, other.masks)


@pytest.mark.parametrize("size", [33, 48, 64])
def test_images_labels_and_masks_belong_together(size: int) -> None:
    data = make_vendor(5, 20, size=size)
    assert data.images.shape == (20, 1, size, size)
    assert data.images.dtype == np.float32
    assert 0 <= data.images.min() < data.images.max() <= 1
    assert data.masks.shape == (20, size, size)
    assert data.labels.dtype == np.int64
    assert data.low_dose is None
    np.testing.assert_array_equal((data.masks == Organ.LESION).any(axis=(1, 2)), data.labels > 0)


def test_pairs_add_a_noisier_image_and_change_nothing_else() -> None:
    single, paired = make_vendor(3, 16), make_vendor(3, 16, pairs=True)
    np.testing.assert_array_equal(single.images, paired.images)
    assert paired.low_dose is not None
    assert paired.low_dose.shape == paired.images.shape
    roughness = [np.abs(np.diff(x, axis=-1)).mean() for x in (paired.low_dose, paired.images)]
    assert roughness[0] > 1.2 * roughness[1]


def test_heterogeneity_changes_the_scanner_but_not_the_patients() -> None:
    alike, unlike = (make_vendor(1, 16, heterogeneity=h) for h in (0.0, 1.5))
    np.testing.assert_array_equal(alike.labels, unlike.labels)
    assert alike.scanner != unlike.scanner
    assert np.abs(alike.images - unlike.images).mean() > 0.01


def test_class_prior_reaches_the_labels() -> None:
    data = make_vendor(0, 20, class_probabilities=[0, 0, 1, 0])
    assert set(data.labels) == {LESION_CLASSES.index("solid")}


@pytest.mark.parametrize("index", range(4))
def test_images_are_not_separable_by_mean_brightness(index: int) -> None:
    data = make_vendor(index, 400)
    brightness = data.images.mean(axis=(1, 2, 3))
    means = [brightness[:200][data.labels[:200] == k].mean() for k in range(len(LESION_CLASSES))]
    nearest = np.abs(brightness[200:, None] - means).argmin(axis=1)
    assert (nearest == data.labels[200:]).mean() < 0.45
