"""Rules of the slices that are to be scanned."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.data.phantom import LESION_CLASSES, Organ, Slices, draw_slices


def drawn(seed: int = 0, count: int = 40, size: int = 64, pixel_mm: float = 5.3) -> Slices:
    return draw_slices(count, size, pixel_mm, np.random.default_rng(seed))


def test_slices_have_the_documented_shapes_and_types() -> None:
    slices = drawn()
    assert slices.hounsfield.shape == slices.organs.shape == (40, 64, 64)
    assert slices.hounsfield.dtype == np.float32
    assert slices.organs.dtype == np.uint8
    assert slices.lesion.dtype == np.int64
    assert set(np.unique(slices.organs)) == set(Organ)


def test_same_generator_state_draws_the_same_slices() -> None:
    first, second, other = drawn(7), drawn(7), drawn(8)
    np.testing.assert_array_equal(first.hounsfield, second.hounsfield)
    np.testing.assert_array_equal(first.organs, second.organs)
    assert not np.array_equal(first.hounsfield, other.hounsfield)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.sampled_from([16, 33, 64]), field=st.floats(290, 450))
def test_lesion_pixels_exist_exactly_where_the_label_names_a_lesion(
    seed: int, size: int, field: float
) -> None:
    slices = drawn(seed, 12, size, field / size)
    has_pixels = (slices.organs == Organ.LESION).any(axis=(1, 2))
    np.testing.assert_array_equal(has_pixels, slices.lesion != LESION_CLASSES.index("none"))


def test_slices_of_one_state_differ_only_in_the_lesion() -> None:
    healthy, ill = (
        draw_slices(8, 64, 5.3, np.random.default_rng(3), lesion_types=[kind] * 8)
        for kind in (0, 2)
    )
    changed = np.abs(healthy.hounsfield - ill.hounsfield) > 1e-3
    lesion = ill.organs == Organ.LESION
    assert (changed & lesion).any(axis=(1, 2)).all()
    np.testing.assert_array_equal(healthy.organs[~lesion], ill.organs[~lesion])


def test_patient_is_the_same_on_a_finer_matrix() -> None:
    coarse, fine = drawn(5, 10, 64, 6.0), drawn(5, 10, 128, 3.0)
    one, other = ((s.organs > 0).mean(axis=(1, 2)) for s in (coarse, fine))
    np.testing.assert_allclose(one, other, rtol=0.03)
    np.testing.assert_array_equal(coarse.lesion, fine.lesion)


def test_tissues_have_their_attenuation() -> None:
    slices = drawn(count=100)
    mean = {o: float(np.median(slices.hounsfield[slices.organs == o])) for o in Organ}
    assert mean[Organ.BACKGROUND] == -1000
    assert mean[Organ.LUNGS] < -700
    assert 80 < mean[Organ.LIVER] < 130
    assert mean[Organ.SPINE] > 120


def test_cysts_are_near_water_and_calcifications_are_bright() -> None:
    slices = drawn(count=200)
    lesion = np.where(slices.organs == Organ.LESION, slices.hounsfield, np.nan)
    of = {n: lesion[slices.lesion == i] for i, n in enumerate(LESION_CLASSES)}
    assert abs(np.nanmedian(of["cyst"])) < 15
    assert 130 < np.nanmedian(of["solid"]) < 250
    brightest = {n: np.median(np.nanmax(of[n], axis=(1, 2))) for n in ("solid", "calcified")}
    assert brightest["calcified"] > brightest["solid"] + 100


def test_class_prior_is_honoured() -> None:
    prior = [0.5, 0.0, 0.2, 0.3]
    slices = draw_slices(1000, 16, 20.0, np.random.default_rng(1), class_probabilities=prior)
    shares = np.bincount(slices.lesion, minlength=4) / 1000
    np.testing.assert_allclose(shares, prior, atol=0.05)
    assert shares[1] == 0


@pytest.mark.parametrize(
    "prior", [[1.0], [0.5, 0.5, 0.5, -0.5], [0.1, 0.1, 0.1, 0.1], [np.nan] * 4]
)
def test_prior_that_is_no_distribution_is_refused(prior: list[float]) -> None:
    with pytest.raises(ValueError, match="class_probabilities must be 4 shares"):
        draw_slices(4, 64, 6.0, np.random.default_rng(), class_probabilities=prior)


@pytest.mark.parametrize("types", [[0, 1], [0, 1, 4], [-1, 0, 0]])
def test_lesion_types_that_do_not_fit_are_refused(types: list[int]) -> None:
    with pytest.raises(ValueError, match="lesion_types must be 3 integers"):
        draw_slices(3, 64, 6.0, np.random.default_rng(), lesion_types=types)


def test_types_and_prior_together_are_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        draw_slices(
            1,
            64,
            6.0,
            np.random.default_rng(),
            lesion_types=[0],
            class_probabilities=[0.25] * 4,
        )


@pytest.mark.parametrize(
    ("count", "size", "pixel_mm", "text"),
    [
        (0, 64, 6.0, "at least 1 slice"),
        (1, 8, 50.0, "at least 16"),
        (1, 64, 0.8, "field of view"),
        (1, 64, np.nan, "field of view"),
    ],
)
def test_geometry_that_cannot_hold_a_body_is_refused(
    count: int, size: int, pixel_mm: float, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        draw_slices(count, size, pixel_mm, np.random.default_rng())
